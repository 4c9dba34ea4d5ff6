import json
from pathlib import Path

import pytest

from fusionseg.config.errors import UserError
from fusionseg.scores.confidences import check_images, in_order, read_confidences


def written(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_confidences_come_in_the_order_of_the_instances(tmp_path: Path) -> None:
    file = written(tmp_path / "scores.json", {"a": {"7": 0.5, "2": 1}, "b": {}})
    confidences = read_confidences(file)
    assert in_order(confidences["a"], ["2", "7"], "a", file).tolist() == [1, 0.5]
    assert in_order(confidences["b"], [], "b", file).shape == (0,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"in .*scores.json, found no JSON"),
        ([1], "found list"),
        ({"a": [0.5]}, "found list for image a"),
        ({"a": {"1": "high"}}, "a finite number, found 'high' for 1 of a"),
        ({"a": {"1": True}}, "found True for 1 of a"),
        ('{"a": {"1": NaN}}', "found nan for 1 of a"),
    ],
)
def test_a_file_of_other_content_is_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_confidences(written(tmp_path / "scores.json", content))


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"found no .*scores.json"):
        read_confidences(tmp_path / "scores.json")


def test_unknown_names_and_missing_ones_are_refused() -> None:
    file = Path("scores.json")
    with pytest.raises(
        UserError, match=r"predicted images in scores.json, found those of c.png: name images by"
    ):
        check_images({"a": {}, "c.png": {}}, ["a", "b"], file)
    with pytest.raises(
        UserError, match=r"of a in scores.json, found none of 2, 4 and one of 3, which it does"
    ):
        in_order({"1": 0.5, "3": 0.5}, ["1", "2", "4"], "a", file)


def test_numbers_that_no_float_holds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": {"1": 1' + "0" * 400 + "}}")
    with pytest.raises(UserError, match="a finite number, found 10000"):
        read_confidences(path)
