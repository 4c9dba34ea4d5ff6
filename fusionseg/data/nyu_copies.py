"""Tells which copy of NYUv2 a folder holds, by the names of the folders in it."""

from pathlib import Path

from fusionseg.files.readable_path import ReadablePath

OFFICIAL = "nyu_depth_v2_labeled.mat"
"""The name of the official file."""

MULTI_TASK = "NYUD_MT (Vandenhende) or NYUDv2 (ATRC, InvPT)"
TOOLKIT = "the PNG files of nyuv2-python-toolkit (VainF)"
ARRAYS = "the arrays of MTAN and LibMTL"
DEPTH_ONLY = "mmsegmentation's copy `nyu`"
PAIRS = "files of one rgb and one depth array each (datumaro, Hugging Face)"

_FOLDERS = {
    MULTI_TASK: ("gt_sets", "images", "segmentation"),
    TOOLKIT: ("image/train", "image/test"),
    ARRAYS: ("train/image", "train/label"),
    DEPTH_ONLY: ("images/train", "annotations/train"),
}
"""The folders that tell a copy."""

_REMEDIES = {
    MULTI_TASK: "read it with NYUv2Copy",
    TOOLKIT: "read it with NYUv2Copy",
    ARRAYS: "it has its own reader, LibMTLArrays",
    DEPTH_ONLY: "it has depth alone, and neither classes nor regions",
    PAIRS: "it has depth alone, and neither classes nor regions",
}


def copy_in(root: ReadablePath) -> str | None:
    """The name of the copy in a folder; None where none is recognized."""
    for name, folders in _FOLDERS.items():
        if all((root / folder).is_dir() for folder in folders):
            return name
    pairs = (root.glob(pattern) for pattern in ("*/*/*.h5", "*/*.h5")) if isinstance(root, Path) else ()
    return PAIRS if any(next(found, None) for found in pairs) else None


def other_copy(root: ReadablePath) -> str:
    """One line about what a folder holds where it is not what was expected; empty where that is unknown."""
    if (root / OFFICIAL).is_file():
        return f"{root} holds the official {OFFICIAL}: read it with NYUv2"
    name = copy_in(root)
    return f"{root} holds {name}: {_REMEDIES[name]}" if name else ""
