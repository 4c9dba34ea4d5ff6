from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix

from fusionseg.config.errors import UserError
from fusionseg.files.matlab import drawn_boundaries, drawn_regions, segmentation


def ground_truth(path: Path, *people: dict[str, Any]) -> Path:
    cells = np.empty((1, len(people)), object)
    for k, person in enumerate(people):
        cells[0, k] = person
    savemat(path, {"groundTruth": cells})
    return path


def test_each_annotator_is_read(tmp_path: Path) -> None:
    region = np.arange(1, 7, dtype=np.uint16).reshape(2, 3)
    drawn = np.eye(2, 3, dtype=np.uint8)
    people = [{"Segmentation": region + k, "Boundaries": drawn} for k in range(3)]
    path = ground_truth(tmp_path / "a.mat", *people)
    assert [ids.tolist() for ids in drawn_regions(path)] == [(region + k).tolist() for k in range(3)]
    assert [found.tolist() for found in drawn_boundaries(path)] == [(drawn > 0).tolist()] * 3


def test_one_of_both_is_enough_and_ids_may_be_floats(tmp_path: Path) -> None:
    drawn = np.eye(2, 3)
    assert (
        drawn_boundaries(ground_truth(tmp_path / "a.mat", {"Boundaries": drawn}))[0].tolist()
        == (drawn > 0).tolist()
    )
    [found] = drawn_regions(ground_truth(tmp_path / "b.mat", {"Segmentation": drawn + 1}))
    assert found.dtype == np.uint16
    assert found.tolist() == (drawn + 1).tolist()


def test_a_prediction_in_the_place_of_a_truth_is_named(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"segs": np.ones((2, 3))})
    for read in (drawn_regions, drawn_boundaries):
        with pytest.raises(
            UserError, match=r"groundTruth with .*, found segs alone: it may be a prediction, in .*a\.mat"
        ):
            read(tmp_path / "a.mat")


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ([], "at least one annotator"),
        ([{"Segmentation": np.ones((2, 3), int)}], "Boundaries"),
        ([{"Segmentation": np.full((2, 3), 0.5), "Boundaries": np.eye(2, 3)}], "whole region ids"),
        ([{"Segmentation": np.full((2, 3), np.nan), "Boundaries": np.eye(2, 3)}], "whole region ids"),
        ([{"Segmentation": np.array("ab"), "Boundaries": np.eye(2, 3)}], "with no numbers"),
        ([{"Segmentation": np.full((2, 3), 65536), "Boundaries": np.eye(2, 3)}], "with 65536..65536"),
        (
            [{"Segmentation": np.ones(side, int), "Boundaries": np.eye(*side)} for side in ((2, 3), (3, 2))],
            "one size",
        ),
        ([{"Segmentation": np.ones((2, 3), int), "Boundaries": 1 - np.eye(2, 3)}], "may be inverted"),
        ([{"Segmentation": np.ones((2, 3), int), "Boundaries": np.full((2, 3), np.nan)}], "finite numbers"),
    ],
)
def test_another_ground_truth_is_named(people: list[dict[str, Any]], message: str, tmp_path: Path) -> None:
    path = ground_truth(tmp_path / "a.mat", *people)
    with pytest.raises(UserError, match=message) as caught:  # noqa: PT012 (either of both)
        drawn_regions(path)
        drawn_boundaries(path)
    assert str(path) in str(caught.value)


def test_annotators_count_however_their_cells_are_laid_out(tmp_path: Path) -> None:
    people = [
        {"Segmentation": np.full((2, 3), k + 1, np.uint16), "Boundaries": csc_matrix(np.eye(2, 3))}
        for k in range(3)
    ]
    column = np.empty((3, 1), object)
    column[:, 0] = people
    savemat(tmp_path / "column.mat", {"groundTruth": column})
    one = np.empty((1, 1), object)
    one[0, 0] = np.array(
        [tuple(person.values()) for person in people], [("Segmentation", object), ("Boundaries", object)]
    ).reshape(1, 3)
    savemat(tmp_path / "one.mat", {"groundTruth": one})
    savemat(tmp_path / "none.mat", {"groundTruth": np.empty((0, 0), object)})
    for name in ("column", "one"):
        path = tmp_path / f"{name}.mat"
        assert [ids[0, 0] for ids in drawn_regions(path)] == [1, 2, 3]
        assert [drawn.sum() for drawn in drawn_boundaries(path)] == [2, 2, 2]
    with pytest.raises(UserError, match="at least one annotator"):
        drawn_regions(tmp_path / "none.mat")


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0", b"\x89PNG"])
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    for read in (drawn_regions, drawn_boundaries, segmentation):
        with pytest.raises(UserError, match=rf"found .* in {path}"):
            read(path)


def test_contours_and_partitions_are_read(tmp_path: Path) -> None:
    contours = np.random.default_rng(0).random((5, 7))
    savemat(tmp_path / "ucm.mat", {"ucm2": contours})
    assert np.array_equal(segmentation(tmp_path / "ucm.mat").ultrametric, contours)
    cells = np.empty((1, 2), object)
    cells[0, 0] = np.ones((2, 3))
    cells[0, 1] = np.arange(6, dtype=np.uint8).reshape(2, 3)
    savemat(tmp_path / "segs.mat", {"segs": cells})
    found = segmentation(tmp_path / "segs.mat")
    assert found.ultrametric is None
    assert [partition.tolist() for partition in found.partitions] == [
        cells[0, 0].tolist(),
        cells[0, 1].tolist(),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"ucm": np.ones((5, 5))}, "found ucm in"),
        ({"ucm2": np.ones((4, 5))}, r"found ucm2 of float64 \(4, 5\)"),
        ({"ucm2": np.full((5, 5), np.nan)}, r"contours in \[0, 1\]"),
        ({"ucm2": np.full((5, 5), -1.0)}, r"contours in \[0, 1\] in .*, found -1.0"),
        ({"ucm2": np.full((5, 5), 255, np.uint8)}, r"contours in \[0, 1\] in .*, found .*255"),
        ({"segs": [np.full((2, 3), np.inf), np.ones((2, 3))]}, "whole region ids"),
        ({"segs": [np.full((2, 3), 1e19), np.ones((2, 3))]}, "whole region ids"),
        ({"segs": [np.ones((2, 3)), np.ones((3, 3))]}, "one size"),
        ({"segs": [np.full((2, 3), 0.5), np.ones((2, 3))]}, "whole region ids"),
    ],
)
def test_other_answers_are_named(content: dict[str, Any], message: str, tmp_path: Path) -> None:
    if "segs" in content:
        cells = np.empty((1, 2), object)
        for k in range(2):
            cells[0, k] = content["segs"][k]
        content = {"segs": cells}
    savemat(tmp_path / "a.mat", content)
    with pytest.raises(UserError, match=message):
        segmentation(tmp_path / "a.mat")


def test_the_newer_format_of_matlab_says_how_to_save_it(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512, b" "))
    for read in (drawn_regions, drawn_boundaries, segmentation):
        with pytest.raises(UserError, match=r"a\.mat: save it with -v7$"):
            read(path)
