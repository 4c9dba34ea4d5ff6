from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionseg.config.errors import UserError
from fusionseg.scores.kinds.semantic import Options, score

TRUTH = np.repeat([0, 1, 2, 255], 4)[None].repeat(3, 0)


def write(folder: Path, **maps: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    for name, ids in maps.items():
        Image.fromarray(ids.astype(np.uint8)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    wrong = np.where(TRUTH == 1, 0, TRUTH)
    return write(tmp_path / "true", a=TRUTH, b=TRUTH), write(tmp_path / "predicted", a=TRUTH, b=wrong)


def test_definitions_are_named_apart(folders: tuple[Path, Path]) -> None:
    scores = score(Options(*folders, classes=4, jobs=1))
    ious = [2 / 3, 1 / 2, 1]
    assert scores.metrics["miou"] == pytest.approx(np.mean(ious))
    assert scores.metrics["miou_absent_zero"] == pytest.approx(np.sum(ious) / 4)
    assert scores.metrics["miou_images"] == pytest.approx((1 + (1 / 2 + 0 + 1) / 3) / 2)
    assert {name: figures["iou"] for name, figures in scores.classes.items()} == pytest.approx(
        dict(zip("012", ious, strict=True))
    )
    assert [row["miou"] for row in scores.rows] == [1, 0.5]
    assert scores.notices == [
        "1 of 4 classes occur in no map (3): miou leaves them out, miou_absent_zero counts them as 0"
    ]
    assert score(Options(*folders, classes=4, jobs=2)) == scores


def test_classes_are_those_that_occur_or_that_a_file_names(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    assert list(score(Options(*folders, jobs=1)).classes) == ["0", "1", "2"]
    (tmp_path / "names.txt").write_text("\ufeffsky\r\nroad\r\ncar\r\n\r\n", encoding="utf-8")
    assert list(score(Options(*folders, classes=tmp_path / "names.txt", jobs=1)).classes) == [
        "sky",
        "road",
        "car",
    ]


def test_an_id_that_is_not_said_to_be_void_is_a_class(folders: tuple[Path, Path]) -> None:
    scores = score(Options(*folders, void=[7], jobs=1))
    assert list(scores.classes) == ["0", "1", "2", "255"]
    assert "252 of 256 classes" in scores.notices[0]


def test_perfect_predictions_of_ade20k_have_a_tenth_where_absent_classes_are_zero(data: Path) -> None:
    folder = data / "ade20k" / "ADEChallengeData2016" / "annotations" / "validation"
    scores = score(Options(folder, folder, classes=150, first=1, void=[0], jobs=1))
    assert scores.metrics["miou"] == scores.metrics["miou_images"] == scores.metrics["boundary_iou"] == 1
    present = len(scores.classes)
    assert scores.metrics["miou_absent_zero"] == pytest.approx(present / 150)
    assert scores.metrics["miou_absent_zero"] < 0.3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 2}, r"class ids 0\.\.1 or 255 for void, found \[2\] in .*true/a\.png"),
        ({"first": 1}, r"class ids 1\.\.2 or 255 for void, found \[0\]"),
        ({"classes": 0}, "1 to 4096 classes, found 0"),
        ({"boundary_share": 2}, "boundary_share in"),
        ({"void": [0, 1, 2, 255]}, "found 0: mind --classes"),
    ],
)
def test_other_ids_and_arguments_are_refused(
    options: dict[str, object], message: str, folders: tuple[Path, Path]
) -> None:
    with pytest.raises(UserError, match=message):
        score(Options(*folders, jobs=1, **options))  # type: ignore[arg-type]


def test_labels_that_mean_nothing_are_said(folders: tuple[Path, Path]) -> None:
    true, predicted = folders
    write(true, a=0 * TRUTH + 255)
    assert "no labeled pixel in a: left out" in score(Options(true, predicted, classes=3, jobs=1)).notices
    write(true, b=np.where(TRUTH == 255, 255, 2))
    notices = score(Options(true, predicted, classes=3, jobs=1)).notices
    assert any(notice.startswith("one class alone has true pixels") for notice in notices)
    assert any("their IoU is 0: 0" in notice for notice in notices)
    write(true, b=0 * TRUTH + 255)
    with pytest.raises(UserError, match="everything is void"):
        score(Options(true, predicted, classes=3, jobs=1))


def test_other_sizes_name_both_files(folders: tuple[Path, Path]) -> None:
    write(folders[1], b=TRUTH.T)
    with pytest.raises(UserError, match=r"\(3, 16\) in .*true/b.png and \(16, 3\) in .*predicted/b.png"):
        score(Options(*folders, jobs=1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"sky\n\ncar\n", "an empty line"),
        (b"sky\ncar\nsky\n", "sky twice"),
        (b"caf\xe9\n", "UTF-8"),
        (b"", "found 0"),
    ],
)
def test_names_that_cannot_be_counted_are_refused(
    content: bytes, message: str, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        score(Options(*folders, classes=tmp_path / "names.txt", jobs=1))


def test_ids_of_instances_are_not_taken_for_classes(folders: tuple[Path, Path]) -> None:
    np.save(folders[0] / "a.npy", TRUTH.astype(np.int64) + 26000)
    (folders[0] / "a.png").unlink()
    with pytest.raises(
        UserError, match=r"class ids below 1024 .* found 26255: say how many classes there are"
    ):
        score(Options(*folders, jobs=1))


def test_what_is_not_predicted_is_said(folders: tuple[Path, Path]) -> None:
    truth, prediction = folders
    write(prediction, a=np.full(TRUTH.shape, 255), b=np.where(TRUTH == 2, 255, TRUTH))
    scores = score(Options(truth, prediction, classes=3, jobs=1))
    assert "66.7% of the labeled pixels have no predicted class (void): they are wrong" in scores.notices
    assert "never predicted, so that their precision is undefined: 2" in scores.notices
    assert scores.metrics["accuracy"] == pytest.approx(1 / 3)


@pytest.mark.slow
def test_as_many_classes_as_a_table_has_room_for(folders: tuple[Path, Path]) -> None:
    few = score(Options(*folders, jobs=1))
    many = score(Options(*folders, classes=4096, jobs=1))
    assert many.metrics["miou"] == few.metrics["miou"]
    with pytest.raises(UserError, match="1 to 4096 classes, found 4097"):
        score(Options(*folders, classes=4097, jobs=1))
