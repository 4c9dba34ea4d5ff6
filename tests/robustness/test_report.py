from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonargparse import Namespace

from fusionseg.config.errors import UsageError
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.folder import Folder
from fusionseg.robustness.measuring import image_digest
from fusionseg.robustness.report import requested
from fusionseg.robustness.results import Results

NOTHING = {"corruptions": None, "severities": None, "beside": None, "split": "val", "checkpoint": "best"}
NOTHING |= {"official": False, "calibration": False}


def given(**words: Any) -> Namespace:
    return Namespace(**{**NOTHING, **words})


def test_nothing_is_asked_for_without_corruptions(datamodule: Callable[..., Any]) -> None:
    assert requested(given(split="test", official=True), datamodule()) is None


def test_severities_are_all_where_none_are_named(datamodule: Callable[..., Any]) -> None:
    request = requested(given(corruptions="all"), datamodule())
    assert request is not None
    assert len(request.corruptions) == 15
    assert request.severities == (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"corruptions": "all", "severities": "0..3"}, r"^severities: expected severities in 1\.\.5"),
        ({"severities": "3"}, r"^severities: expected --corruptions beside it \(all, or names\)$"),
        ({"beside": "x"}, r"^beside: expected --corruptions beside it \(all, or names\)$"),
        ({"corruptions": "all", "split": "test"}, r"^split: expected val for --corruptions: the test split"),
        ({"corruptions": "all", "official": True}, r"^official: not measured under corruptions"),
        ({"corruptions": "all", "calibration": True}, r"^calibration: not measured under corruptions"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    words: dict[str, Any], message: str, datamodule: Callable[..., Any]
) -> None:
    with pytest.raises(UsageError, match=message):
        requested(given(**words), datamodule())


def test_data_of_another_kind_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^corruptions: expected a SegmentationDataModule, found dict$"):
        requested(given(corruptions="all"), {})


def test_runs_beside_are_of_the_same_images_and_measured_under_all_that_is_shown(
    datamodule: Callable[..., Any], tmp_path: Path
) -> None:
    data = datamodule()
    ask = partial(given, corruptions="fog", severities="1,2", beside=f"{tmp_path}, {tmp_path}")
    with pytest.raises(
        UsageError, match=r"^beside: \S+ was not measured under corruptions: do so with `fusionseg"
    ):
        requested(ask(), data)
    other = Results({}, image_digest(data), 5, ())
    other.add("fog", 1, {"miou": 0.5})
    path = tmp_path / "evaluation" / "corruptions.json"
    other.write(path)
    with pytest.raises(
        UsageError, match=r"^beside: \S+ was not measured under fog 2: do so with `fusionseg evaluate"
    ):
        requested(ask(), data)
    other.add("fog", 2, {"miou": 0.4})
    other.write(path)
    request = requested(ask(), data)
    assert request is not None
    assert request.beside == {str(tmp_path): other}
    with pytest.raises(UsageError, match=r"^beside: .*evaluate --run \S+ --checkpoint last --corruptions"):
        requested(ask(checkpoint="last"), data)
    other.images = "of others"
    other.write(path)
    with pytest.raises(
        UsageError, match=r"^beside: \S+ was measured on other images or classes: it cannot be comp"
    ):
        requested(ask(), data)


def test_images_of_more_channels_pass_over_what_needs_colors_with_a_notice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("images", "semantic"):
        (tmp_path / part).mkdir()
    for name in ("a", "b"):
        np.save(tmp_path / "images" / f"{name}.npy", np.zeros((8, 8, 5), np.uint8))
        np.save(tmp_path / "semantic" / f"{name}.npy", np.zeros((8, 8), np.uint8))
    (tmp_path / "classes.yaml").write_text("classes: [{name: x}]\nchannels: 5\n")
    (tmp_path / "train.txt").write_text("a\n")
    (tmp_path / "val.txt").write_text("b\n")
    data = SegmentationDataModule(partial(Folder, root=tmp_path))
    request = requested(given(corruptions="photometric"), data)
    assert request is not None
    assert [corruption.name for corruption in request.corruptions] == ["brightness", "contrast", "gamma"]
    assert capsys.readouterr().err == "color_temperature is left out: it takes images of 3 channels\n"
