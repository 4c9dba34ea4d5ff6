from collections.abc import Callable
from typing import Any

from fusionseg.runs.chosen_images import chosen_rows


def test_only_the_named_images_are_predicted_and_kept_nowhere(
    small: Callable[..., Any], datamodule: Callable[..., Any], tmp_path: Any
) -> None:
    data = datamodule(cache="disk", cache_dir=str(tmp_path / "cache"))
    name = data.dataset("val").name(2)
    rows = dict(chosen_rows(small(), data, "val", ["unknown", name], "32-true"))
    assert list(rows) == [name]
    assert "image" in rows[name]
    assert not (tmp_path / "cache").exists()


def test_a_split_without_any_of_them_gives_nothing(
    small: Callable[..., Any], datamodule: Callable[..., Any]
) -> None:
    assert not list(chosen_rows(small(), datamodule(cache="memory"), "val", ["unknown"], "32-true"))
