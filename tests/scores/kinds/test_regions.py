from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from fusionseg.config.errors import UserError
from fusionseg.sample import IntMap
from fusionseg.scores.kinds.regions import Options, score

HALVES = np.kron(np.array([[1, 2]]), np.ones((6, 5), np.int64))


def write(path: Path, ids: IntMap) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(ids.astype(np.uint16)).save(path)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("a", "b"):
        write(tmp_path / "true" / f"{name}.png", HALVES)
        write(tmp_path / "predicted" / f"{name}.png", HALVES if name == "a" else 0 * HALVES)
    return tmp_path / "true", tmp_path / "predicted"


def test_label_maps_are_one_partition_each(folders: tuple[Path, Path]) -> None:
    scores = score(Options(*folders, jobs=1))
    assert scores.metrics["covering_ods"] == scores.metrics["covering_ois"] == 0.75
    assert scores.metrics["vi_ods"] == 0.5
    assert [(row["image"], row["covering"], row["vi"]) for row in scores.rows] == [("a", 1, 0), ("b", 0.5, 1)]
    assert scores == score(Options(*folders, jobs=2))


def test_contour_maps_are_cut_at_each_threshold(folders: tuple[Path, Path]) -> None:
    contours = np.zeros((13, 21))
    contours[:, 10] = 0.4
    for name in ("a", "b"):
        (folders[1] / f"{name}.png").unlink()
        savemat(folders[1] / f"{name}.mat", {"ucm2": contours})
    scores = score(Options(*folders, thresholds=[0.2, 0.4, 0.6], jobs=1))
    assert [row["covering"] for row in scores.rows] == [1, 0.5, 0.5] * 2
    assert scores.metrics["covering_ods_threshold"] == 0.2


def test_void_is_left_out_and_said(folders: tuple[Path, Path]) -> None:
    write(folders[0] / "b.png", 0 * HALVES)
    scores = score(Options(*folders, jobs=1))
    assert scores.metrics["covering_ods"] == 1
    assert scores.images == 1
    assert scores.notices == ["no labeled pixel in b: left out"]
    write(folders[0] / "a.png", 0 * HALVES)
    with pytest.raises(UserError, match="everything is void"):
        score(Options(*folders, jobs=1))


def test_more_than_65535_regions_are_possible(tmp_path: Path) -> None:
    ids = np.arange(70_000, dtype=np.int32).reshape(250, 280) + 1
    for name in ("true", "predicted"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "a.npy", ids)
    assert score(Options(tmp_path / "true", tmp_path / "predicted", jobs=1)).metrics["covering_ods"] == 1


def test_what_cannot_be_compared_is_refused(folders: tuple[Path, Path]) -> None:
    write(folders[1] / "b.png", HALVES.T)
    with pytest.raises(UserError, match=r"\(6, 10\) in .*true/b.png and \(10, 6\) in .*predicted/b.png"):
        score(Options(*folders, jobs=1))
    (folders[1] / "b.png").unlink()
    np.save(folders[1] / "b.npy", -HALVES)
    with pytest.raises(UserError, match=r"not negative, found -2 in .*b.npy"):
        score(Options(*folders, jobs=1))
    (folders[1] / "b.npy").unlink()
    cells = np.empty((1, 2), object)
    cells[0, 0] = cells[0, 1] = HALVES
    savemat(folders[1] / "b.mat", {"segs": cells})
    with pytest.raises(UserError, match="found 1 partitions of a and 2 partitions of b"):
        score(Options(*folders, jobs=1))


def test_inverted_contours_and_regions_of_id_0_are_said(folders: tuple[Path, Path]) -> None:
    contours = np.zeros((13, 21))
    contours[:, 10] = 0.8
    for name, values in (("a", contours), ("b", 1 - contours)):
        (folders[1] / f"{name}.png").unlink()
        savemat(folders[1] / f"{name}.mat", {"ucm2": values})
    write(folders[0] / "b.png", HALVES - 1)
    [inverted, void] = score(Options(*folders, jobs=1)).notices
    assert "at the middle threshold in b: boundaries have large values" in inverted
    assert void.startswith("25.0% of the true pixels have id 0, which is void, and are left out (b)")


def test_partitions_of_the_benchmark_have_its_figures(data: Path) -> None:
    bench = data / "BSDS500" / "bench" / "data"
    metrics = score(Options(bench / "groundTruth", bench / "segs", jobs=1)).metrics
    found = [
        metrics[name] for name in ("covering_ods_threshold", "covering_ods", "covering_ois", "covering_best")
    ]
    assert [float(f"{value:g}") for value in found] == np.loadtxt(
        bench / "test_5" / "eval_cover.txt"
    ).tolist()
    names = ("pri_ods_threshold", "pri_ods", "pri_ois", "vi_ods_threshold", "vi_ods", "vi_ois")
    found = [metrics[name] for name in names]
    assert [float(f"{value:g}") for value in found] == np.loadtxt(
        bench / "test_5" / "eval_RI_VOI.txt"
    ).tolist()
