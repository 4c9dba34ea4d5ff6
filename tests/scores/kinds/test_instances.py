import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionseg.config.errors import UserError
from fusionseg.sample import IntMap
from fusionseg.scores.kinds.instances import Options, score

CELLS = np.kron(np.array([[1, 0, 2, 0, 3]]), np.ones((6, 5), np.int64))
"""Three instances of 30 pixels."""

FIGURES = (
    "dsb_ap",
    "dsb_ap50",
    "dsb_ap75",
    "coco_ap",
    "coco_ap50",
    "coco_ap75",
    "boundary_ap",
    "boundary_iou",
    "aji",
)
Folders = tuple[Path, Path]


def write(path: Path, ids: IntMap) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ids.astype(np.uint16)).save(path)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Two images of three cells: all are found in `a`; in `b` one is missed and one is wrong."""
    write(tmp_path / "true" / "a.png", CELLS)
    write(tmp_path / "true" / "b.png", CELLS)
    write(tmp_path / "predicted" / "a.png", CELLS[:, ::-1])
    write(tmp_path / "predicted" / "b.png", np.where(CELLS == 3, 0, CELLS) + 7 * (np.roll(CELLS, 5, 1) == 1))
    return tmp_path / "true", tmp_path / "predicted"


def test_all_figures_have_their_values(folders: Folders) -> None:
    scores = score(Options(*folders, jobs=1))
    assert scores.metrics == pytest.approx(
        {
            **dict.fromkeys(("dsb_ap", "dsb_ap50", "dsb_ap75"), (1 + 2 / 4) / 2),
            # the wrong one has the highest id and comes last, after recall 5/6
            **dict.fromkeys(("coco_ap", "coco_ap50", "coco_ap75", "boundary_ap"), 84 / 101),
            "boundary_iou": 1,
            "aji": (1 + 60 / 120) / 2,
            "instances": 6,
            "predictions": 6,
        }
    )
    assert scores.images == 2
    assert scores == score(Options(*folders, jobs=2))


def test_there_is_a_row_for_each_image_and_threshold(folders: Folders) -> None:
    rows = score(Options(*folders, jobs=1)).rows
    assert len(rows) == 20
    assert rows[0] == {"image": "a", "threshold": 0.5, "tp": 3, "fp": 0, "fn": 0, "dsb": 1.0}
    assert rows[19] == {"image": "b", "threshold": 0.95, "tp": 2, "fp": 1, "fn": 1, "dsb": 0.5}


def test_confidences_order_the_predictions(folders: Folders, tmp_path: Path) -> None:
    confidences = {"a": {"1": 0.9, "2": 0.8, "3": 0.7}, "b": {"1": 0.6, "2": 0.5, "7": 1.0}}
    (tmp_path / "scores.json").write_text(json.dumps(confidences))
    scores = score(Options(*folders, scores=tmp_path / "scores.json", jobs=1))
    # one wrong one first, so that the precision of the last right one holds everywhere
    assert scores.metrics["coco_ap"] == pytest.approx(84 * 5 / 6 / 101)
    assert scores.metrics["dsb_ap"] == 0.75
    assert not any("confidences" in notice for notice in scores.notices)
    assert scores.curve is not None
    assert [point["threshold"] for point in scores.curve.points] == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert scores.curve.points[0] == pytest.approx(
        {"threshold": 0.5, "precision": 5 / 6, "recall": 5 / 6, "f": 5 / 6}
    )
    assert scores.curve.best == {"best f": pytest.approx((5 / 6, 5 / 6))}
    first = score(Options(*folders, scores=tmp_path / "scores.json", max_detections=1, jobs=1))
    assert first.metrics["coco_ap"] == pytest.approx(17 / 2 / 101)


def test_without_confidences_it_is_said_that_the_order_counts(folders: Folders) -> None:
    scores = score(Options(*folders, jobs=1))
    assert any("no confidences (--scores)" in notice for notice in scores.notices)
    assert scores.curve is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda scores: scores.pop("b"), r"of b in .*scores.json, found none of 1, 2, 7"),
        (lambda scores: scores.update(c={}), r"in .*scores.json, found those of c"),
        (lambda scores: scores["a"].update({"4": 1}), r"of a in .*, found one of 4, which it does not have"),
    ],
)
def test_confidences_of_other_images_or_ids_are_refused(
    folders: Folders, tmp_path: Path, change: Callable[[dict[str, dict[str, float]]], object], message: str
) -> None:
    confidences: dict[str, dict[str, float]] = {"a": dict.fromkeys("123", 1), "b": dict.fromkeys("127", 1)}
    change(confidences)
    (tmp_path / "scores.json").write_text(json.dumps(confidences))
    with pytest.raises(UserError, match=message):
        score(Options(*folders, scores=tmp_path / "scores.json", jobs=1))


def test_another_background_and_other_ids_change_no_figure(folders: Folders) -> None:
    expected = score(Options(*folders, jobs=1))
    for folder in folders:
        for path in folder.iterdir():
            ids = np.asarray(Image.open(path)).astype(int)
            write(path, np.where(ids == 0, 9, np.where(ids == 1, 0, ids)))
    scores = score(Options(*folders, background=9, jobs=1))
    assert {name: scores.metrics[name] for name in ("dsb_ap", "aji")} == {
        name: expected.metrics[name] for name in ("dsb_ap", "aji")
    }
    assert (scores.metrics["instances"], scores.metrics["predictions"]) == (6, 6)


def test_nothing_true_and_nothing_predicted_are_right_and_said(folders: Folders) -> None:
    write(folders[0] / "a.png", 0 * CELLS)
    write(folders[1] / "a.png", 0 * CELLS)
    write(folders[1] / "b.png", 0 * CELLS)
    scores = score(Options(*folders, jobs=1))
    assert scores.metrics["dsb_ap"] == scores.metrics["aji"] == 0.5
    assert scores.metrics["coco_ap"] == 0
    assert np.isnan(scores.metrics["boundary_iou"])
    said = "\n".join(scores.notices)
    assert "no true instance in a: dsb and aji are 1 there if nothing is predicted" in said
    assert "no predicted instance in b: what is there counts as missed" in said
    assert "boundary_iou is undefined" in said
    write(folders[0] / "b.png", 0 * CELLS)
    scores = score(Options(*folders, jobs=1))
    assert scores.metrics["dsb_ap"] == 1
    assert np.isnan(scores.metrics["coco_ap"])
    assert any("coco_ap and boundary_ap are undefined" in notice for notice in scores.notices)


def test_a_single_instance_that_is_everything_is_scored_and_said(folders: Folders) -> None:
    for folder in folders:
        (folder / "b.png").unlink()
        write(folder / "a.png", 0 * CELLS + 4)
    scores = score(Options(*folders, jobs=1))
    assert [scores.metrics[name] for name in FIGURES] == pytest.approx([1] * 9)
    said = "\n".join(scores.notices)
    assert "no background (0) in a of" in said
    assert "one instance at most in each image of" in said


def test_more_than_65535_instances_are_possible(tmp_path: Path) -> None:
    ids = np.arange(70_000, dtype=np.int32).reshape(250, 280)
    for name in ("true", "predicted"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "a.npy", ids)
    scores = score(Options(tmp_path / "true", tmp_path / "predicted", jobs=1))
    assert scores.metrics["instances"] == 69_999
    assert [scores.metrics[name] for name in FIGURES] == pytest.approx([1] * 9)


def test_what_cannot_be_compared_is_refused(folders: Folders) -> None:
    write(folders[1] / "b.png", CELLS.T)
    with pytest.raises(UserError, match=r"\(6, 25\) in .*true/b.png and \(25, 6\) in .*predicted/b.png"):
        score(Options(*folders, jobs=1))
    (folders[1] / "b.png").unlink()
    np.save(folders[1] / "b.npy", -CELLS)
    with pytest.raises(UserError, match=r"not negative, found -3 in .*b.npy"):
        score(Options(*folders, jobs=1))
    for wrong, message in (
        ({"background": -1}, "background of 0 or a positive id, found -1"),
        ({"max_detections": 0}, "max_detections of at least 1, found 0"),
        ({"boundary_share": 1.0}, r"boundary_share in \(0, 1\), a share of the diagonal, found 1.0"),
    ):
        with pytest.raises(UserError, match=message):
            score(Options(*folders, **wrong))


def test_masks_and_id_maps_may_be_compared_with_each_other(folders: Folders, tmp_path: Path) -> None:
    for name in ("a", "b"):
        for number in (1, 2, 3):
            write(tmp_path / "masks" / name / "masks" / f"cell{4 - number}.png", 255 * (number == CELLS))
    of_maps = score(Options(*folders, jobs=1))
    assert score(Options(tmp_path / "masks", folders[1], jobs=1)).metrics == of_maps.metrics
    confidences = {name: {"cell1": 0.5, "cell2": 0.6, "cell3": 0.7} for name in ("a", "b")}
    (tmp_path / "scores.json").write_text(json.dumps(confidences))
    turned = score(Options(folders[1], tmp_path / "masks", scores=tmp_path / "scores.json", jobs=1))
    assert turned.metrics["dsb_ap"] == 0.75
    (tmp_path / "masks" / "c" / "masks").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no prediction of c in .*predicted"):
        score(Options(tmp_path / "masks", folders[1], jobs=1))
    assert score(Options(tmp_path / "masks", folders[1], common=True, jobs=1)).metrics == of_maps.metrics


def test_images_without_masks_have_the_size_of_the_other_side(folders: Folders, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "masks" / name / "masks").mkdir(parents=True)
    scores = score(Options(folders[0], tmp_path / "masks", jobs=1))
    assert (scores.metrics["dsb_ap"], scores.metrics["instances"]) == (0, 6)
    assert score(Options(tmp_path / "masks", tmp_path / "masks", jobs=1)).metrics["dsb_ap"] == 1


def test_real_nuclei_are_read_as_they_are_stored(data: Path, tmp_path: Path) -> None:
    real = data / "dsb2018" / "stage1_train"
    names = sorted(path.name for path in real.iterdir())[:6]
    for name in names:
        (tmp_path / "true").mkdir(exist_ok=True)
        (tmp_path / "true" / name).symlink_to(real / name)
    perfect = score(Options(tmp_path / "true", tmp_path / "true", jobs=1))
    assert [perfect.metrics[name] for name in FIGURES] == pytest.approx([1] * 9)
    assert perfect.metrics["instances"] == sum(len([*(real / name / "masks").iterdir()]) for name in names)
    for name in names:
        ids: IntMap | int = 0
        for number, path in enumerate(sorted((real / name / "masks").iterdir())):
            # every tenth nucleus is lost, two neighbors in the list are one
            ids = ids + (np.asarray(Image.open(path)) > 0) * (0 if number % 10 == 9 else number // 2 + 1)
        write(tmp_path / "predicted" / f"{name}.png", np.roll(np.asarray(ids), 1, 0))
    worse = score(Options(tmp_path / "true", tmp_path / "predicted", jobs=1))
    assert worse.metrics["predictions"] < worse.metrics["instances"]
    for figure in FIGURES:
        assert 0 < worse.metrics[figure] < 1


def test_a_folder_of_one_image_is_no_folder_of_images(tmp_path: Path) -> None:
    for name in ("true", "predicted"):
        folder = tmp_path / name / "image" / "masks"
        folder.mkdir(parents=True)
        Image.fromarray(np.eye(4, dtype=np.uint8)).save(folder / "a.png")
    with pytest.raises(UserError, match="name the folder that holds the folders of the images"):
        score(Options(tmp_path / "true" / "image", tmp_path / "predicted" / "image", jobs=1))


def test_a_background_that_no_map_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a background of 0 or a positive id"):
        score(Options(tmp_path, tmp_path, background=2**70, jobs=1))
