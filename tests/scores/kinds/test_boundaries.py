from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from fusionseg.config.errors import UserError
from fusionseg.scores.kinds.boundaries import Options, score

LINE = np.zeros((20, 30), np.uint8)
LINE[:, 14] = 255


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two drawn maps and two predictions that are equal to them, at half strength in the second."""
    for name in ("true", "predicted"):
        (tmp_path / name).mkdir()
    for name, strength in (("a", 1), ("b", 2)):
        Image.fromarray(LINE).save(tmp_path / "true" / f"{name}.png")
        Image.fromarray(LINE // strength).save(tmp_path / "predicted" / f"{name}.png")
    return tmp_path / "true", tmp_path / "predicted"


def test_predictions_that_are_the_truth_are_perfect_where_they_are_strong_enough(
    folders: tuple[Path, Path],
) -> None:
    scores = score(Options(*folders, thresholds=3, jobs=1))
    assert [scores.metrics[name] for name in ("ods", "ois")] == [1, 1]
    assert scores.metrics["ap"] == pytest.approx(0.51)  # from recall 0.5 on
    assert scores.metrics["ods_threshold"] == 0.25
    rows = {(row["image"], row["threshold"]): row["f"] for row in scores.rows}
    assert rows == {
        ("a", 0.25): 1,
        ("a", 0.5): 1,
        ("a", 0.75): 1,
        ("b", 0.25): 1,
        ("b", 0.5): 0,
        ("b", 0.75): 0,
    }
    assert scores.curve is not None
    assert [point["recall"] for point in scores.curve.points] == [1, 0.5, 0.5]
    assert scores.notices == []


def test_processes_change_nothing(folders: tuple[Path, Path]) -> None:
    assert score(Options(*folders, jobs=1)) == score(Options(*folders, jobs=2))


def test_the_tolerance_is_a_share_of_the_diagonal_or_pixels(folders: tuple[Path, Path]) -> None:
    true, predicted = folders
    for file in predicted.iterdir():
        Image.fromarray(np.roll(LINE, 2, 1)).save(file)
    diagonal = float(np.hypot(20, 30))
    assert score(Options(true, predicted, max_distance=2.01 / diagonal, jobs=1)).metrics["ods"] == 1
    assert score(Options(true, predicted, max_distance=1.99 / diagonal, jobs=1)).metrics["ods"] == 0
    assert score(Options(true, predicted, max_pixels=2, jobs=1)).metrics["ods"] == 1
    assert score(Options(true, predicted, max_pixels=1, jobs=1)).metrics["ods"] == 0


def test_broad_predictions_are_thinned_suppressed_or_left(folders: tuple[Path, Path]) -> None:
    true, predicted = folders
    down, right = np.mgrid[:20, :30]
    for file in predicted.iterdir():
        broad = 255 * np.exp(-((right - 14 - down / 50) ** 2) / 20)
        Image.fromarray(broad.astype(np.uint8)).save(file)
    precision = {}
    for name, options in {"thin": {}, "nms": {"nms": True}, "raw": {"thin": False}}.items():
        metrics = score(Options(true, predicted, thresholds=[0.1], max_pixels=2, jobs=1, **options)).metrics
        precision[name] = metrics["ods_precision"]
        assert 0 < metrics["crispness"] < 0.5
    assert precision["raw"] < 0.7 < precision["nms"]
    assert precision["thin"] > 0.9


def test_partitions_have_their_numbers_as_thresholds(folders: tuple[Path, Path]) -> None:
    true, predicted = folders
    cells = np.empty((1, 2), object)
    cells[0, 0] = np.ones((20, 30))
    cells[0, 1] = 1 + (np.arange(30) > 14) * np.ones((20, 1))
    for name in ("a", "b"):
        (predicted / f"{name}.png").unlink()
        savemat(predicted / f"{name}.mat", {"segs": cells})
    metrics = score(Options(true, predicted, jobs=1)).metrics
    assert metrics["ods_threshold"] == 2
    assert metrics["ods"] == 1
    assert "crispness" not in metrics
    cells = cells[:, :1]
    savemat(predicted / "b.mat", {"segs": cells})
    with pytest.raises(UserError, match="found 2 partitions of a and 1 partitions of b"):
        score(Options(true, predicted, jobs=1))


def test_inverted_and_empty_maps_are_said(folders: tuple[Path, Path]) -> None:
    true, predicted = folders
    Image.fromarray(255 - LINE).save(predicted / "a.png")
    Image.fromarray(LINE * 0).save(predicted / "b.png")
    notices = score(Options(true, predicted, jobs=1)).notices
    assert [notice.split(" in ")[-1][:1] for notice in notices[:2]] == ["a", "b"]
    assert "the same at all thresholds: they have no curve, and ap is 0" in notices[2]
    assert "may be an inverted map" in notices[0]
    assert "no predicted boundary at any threshold in b" in notices[1]
    Image.fromarray(255 - LINE).save(true / "a.png")
    with pytest.raises(UserError, match=r"97% of the pixels to be boundary in .*a.png: it may be inverted"):
        score(Options(true, predicted, jobs=1))


def test_a_truth_without_boundaries_is_said(folders: tuple[Path, Path]) -> None:
    true, predicted = folders
    Image.fromarray(LINE * 0).save(true / "b.png")
    scores = score(Options(true, predicted, thresholds=1, jobs=1))
    assert scores.metrics["ods"] == 1
    assert "no true boundary in b" in scores.notices[0]
    Image.fromarray(LINE * 0).save(true / "a.png")
    nothing = score(Options(true, predicted, jobs=1))
    assert np.isnan(nothing.metrics["ods"])
    assert "no figure is defined" in nothing.notices[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thresholds": 0}, "1 to 9999 thresholds"),
        ({"thresholds": [0.5, 0.2]}, "ascending order"),
        ({"thresholds": []}, "ascending order"),
        ({"thresholds": [float("nan")]}, "ascending order"),
        ({"thresholds": [0.1, float("nan"), 0.5]}, "ascending order"),
        ({"thresholds": [0.5, 1.2]}, "within"),
        ({"max_distance": 4}, "share of the diagonal, found 4"),
        ({"max_pixels": -1}, "max_pixels of at least 0"),
    ],
)
def test_arguments_out_of_range_are_refused(
    options: dict[str, object], message: str, folders: tuple[Path, Path]
) -> None:
    with pytest.raises(UserError, match=message):
        score(Options(*folders, **options))  # type: ignore[arg-type]


def test_other_sizes_name_both_files(folders: tuple[Path, Path]) -> None:
    Image.fromarray(LINE.T).save(folders[1] / "b.png")
    with pytest.raises(UserError, match=r"\(20, 30\) in .*true/b.png and \(30, 20\) in .*predicted/b.png"):
        score(Options(*folders, jobs=2))


def test_a_soft_map_is_no_truth(folders: tuple[Path, Path]) -> None:
    Image.fromarray(np.where(LINE, 100, LINE) + np.eye(20, 30, dtype=np.uint8)).save(folders[0] / "a.png")
    with pytest.raises(UserError, match=r"one other value, found 4 values: it may be a soft map"):
        score(Options(*folders, jobs=1))
    Image.fromarray(LINE).save(folders[0] / "a.jpg")
    (folders[0] / "a.png").unlink()
    with pytest.raises(UserError, match=r"no prediction|no truth of a"):
        score(Options(*folders, jobs=1))


def test_a_truth_of_0_and_1_is_as_good_as_one_of_0_and_255(folders: tuple[Path, Path]) -> None:
    expected = score(Options(*folders, jobs=1)).metrics
    for file in folders[0].iterdir():
        Image.fromarray(LINE // 255).save(file)
    assert score(Options(*folders, jobs=1)).metrics == expected


@pytest.mark.parametrize("shape", [(1, 1), (1, 20), (20, 1)])
def test_images_of_one_row_are_scored(shape: tuple[int, int], tmp_path: Path) -> None:
    pixels = np.zeros(shape, np.uint8)
    pixels[0, 0] = 255
    for name in ("true", "predicted"):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "a.png")
    options = Options(tmp_path / "true", tmp_path / "predicted", jobs=1, nms=True)
    if shape == (1, 1):
        with pytest.raises(UserError, match="100% of the pixels"):
            score(options)
    else:
        assert score(options).metrics["ods"] == 1


def test_a_tolerance_beyond_the_image_is_the_whole_image(folders: tuple[Path, Path]) -> None:
    assert score(Options(*folders, max_pixels=1e9, thresholds=1, jobs=1)).metrics["ods"] == pytest.approx(
        2 / 3
    )


def test_partitions_of_the_benchmark_have_its_figures(data: Path) -> None:
    bench = data / "BSDS500" / "bench" / "data"
    scores = score(Options(bench / "groundTruth", bench / "segs", jobs=1))
    official = np.loadtxt(bench / "test_3" / "eval_bdry.txt")
    # its matching breaks ties at random
    names = ("ods_threshold", "ods", "ois", "ap")
    assert [scores.metrics[name] for name in names] == pytest.approx(official[[0, 3, 6, 7]], abs=0.003)
    each = np.loadtxt(bench / "test_3" / "eval_bdry_img.txt")
    assert [row["f"] for row in scores.best] == pytest.approx(each[:, 4], abs=0.003)
