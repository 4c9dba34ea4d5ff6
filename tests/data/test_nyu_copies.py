from pathlib import Path

import pytest

from fusionseg.data.nyu_copies import copy_in, other_copy


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["nyu_depth_v2_labeled.mat"], "holds the official nyu_depth_v2_labeled.mat: read it with NYUv2"),
        (
            ["gt_sets/train.txt", "images/1.jpg", "segmentation/1.png"],
            "NYUD_MT (Vandenhende) or NYUDv2 (ATRC",
        ),
        (
            ["image/train/00003.png", "image/test/00001.png"],
            "nyuv2-python-toolkit (VainF): read it with NYUv2C",
        ),
        (["train/image/0.npy", "train/label/0.npy"], "the arrays of MTAN and LibMTL"),
        (["images/train/a.jpg", "annotations/train/a.png"], "`nyu`: it has depth alone"),
        (["train/basement_0001a/00001.h5"], "(datumaro, Hugging Face): it has depth alone"),
        (["photos/1.jpg"], ""),
    ],
)
def test_a_copy_is_recognized_by_its_folders(names: list[str], line: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert line in other_copy(tmp_path)
    assert bool(line) == bool(other_copy(tmp_path))


def test_a_folder_that_is_not_there_holds_no_copy(tmp_path: Path) -> None:
    assert copy_in(tmp_path / "nowhere") is None
