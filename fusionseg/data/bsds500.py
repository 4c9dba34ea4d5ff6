"""BSDS500: photos of nature, each segmented into regions by several people."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.config.errors import UserError
from fusionseg.data.base import NO_MAPS, DataError, Labels, Split
from fusionseg.data.download_parts import DownloadPart
from fusionseg.data.downloads import size_notices
from fusionseg.data.file_dataset import FileDataset
from fusionseg.data.layout import check_layout, check_matched
from fusionseg.files.archives import tree
from fusionseg.files.matching import by_stem
from fusionseg.files.matlab import drawn_regions
from fusionseg.files.photos import photo_suffixes
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import VOID, Classes, Truth

LAYOUT = """    data/images/{train,val,test}/<id>.jpg
    data/groundTruth/{train,val,test}/<id>.mat   (BSR_bsds500.tgz, folder BSR/BSDS500)"""

ARCHIVES = ("BSR_bsds500.tgz",)
"""The official download."""

INSIDE = "BSR/BSDS500"
"""The folder that holds `data` in the archive."""

_PHOTOS = {"train": 200, "val": 100, "test": 200}
"""The number of photos of each split."""


class BSDS500(FileDataset):
    """BSDS500 in its official layout: 200 / 100 / 200 photos of 481 x 321 pixels, 4 to 9 annotators each.

    It has regions only and every pixel's class is void: train on it alone with `--model.semantic_head null`.
    Its one class has a color of our own.
    Training sees the regions of one annotator, drawn anew in every epoch. In expectation, a loss that is
    linear in the target, such as cross-entropy of boundaries, is then that of the mean of all annotators'
    boundary maps; `BalancedBCE` also weighs by the number of boundary pixels, and is so only nearly. With
    `averaged` it is that mean that `BoundaryHead` learns from, as in HED, RCF and PiDiNet.
    Evaluation scores against all of them, by the rules of the Berkeley benchmark (Arbelaez et al., TPAMI
    2011): tune on val, report on test once.

    Download: http://www.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/BSR/BSR_bsds500.tgz. License:
    non-commercial research and education, by Berkeley's page.

    Args:
        split: Which photos; the official split.
        root: The folder that holds `data`, or the archive of the download.
        averaged: Whether images have labels of `boundary` too.

    Raises:
        DataError: Files are missing, or photos and label files do not match.
    """

    verified = "checked on 250 of its 500 photos"
    classes = Classes(
        names=("anything",), colors=((128, 128, 128),), region="what a person saw as one part of a scene"
    )

    def __init__(self, split: Split, root: str | Path, averaged: bool = False) -> None:
        super().__init__(split)
        self.kinds = ("boundary",) * averaged
        top = tree(root, ARCHIVES)
        inside = top / INSIDE
        top = inside if inside.exists() and not (top / "data").exists() else top
        photos = top / "data" / "images" / split
        labels = top / "data" / "groundTruth" / split
        check_layout([photos, labels], LAYOUT)
        self.photos = by_stem(photos, photo_suffixes())
        self.label_files = by_stem(labels, (".mat",))
        check_matched(self.photos, self.label_files, labels)
        self.names = list(self.photos)
        self.download = (DownloadPart(ARCHIVES[0], f"photos of {split}", len(self.names), _PHOTOS[split]),)
        self.notices = size_notices(self.photo(0), "BSDS500", (321, 481), (481, 321))

    @override
    def labels(self, index: int) -> Labels:
        regions = _annotations(self.label_file(index))
        maps = {"boundary": agreement(regions)} if self.kinds else NO_MAPS
        return Labels(_void(regions[0]), regions[0], maps)

    @override
    def annotation(self, index: int, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
        regions: npt.NDArray[np.uint16] = rng.choice(_annotations(self.label_file(index)))
        return regions

    @override
    def truth(self, index: int) -> Truth:
        first, *others = _annotations(self.label_file(index))
        maps = {"boundary": agreement(np.stack([first, *others]))} if self.kinds else NO_MAPS
        return Truth(_void(first), first, others=tuple(others), maps=maps)

    @override
    def sources(self) -> list[object]:
        return [*self.photos.values(), *self.label_files.values()]


def agreement(regions: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """The share of annotators in whose regions (A, H, W) a pixel is at a boundary (H, W), -1 where in none.

    Both sides of a boundary belong to it, so that it is two pixels wide.
    """
    touching = np.zeros(regions.shape, bool)
    for axis in (1, 2):
        first = [slice(None)] * 3
        second = [slice(None)] * 3
        first[axis] = slice(-1)
        second[axis] = slice(1, None)
        differs = regions[tuple(first)] != regions[tuple(second)]
        touching[tuple(first)] |= differs
        touching[tuple(second)] |= differs
    share = touching.mean(0, dtype=np.float32)
    return np.where(share > 0, share, np.float32(-1))


def _void(region: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """The class ids (H, W) that belong to a region map: void everywhere."""
    return np.full(region.shape, VOID, np.uint8)


def _annotations(path: ReadablePath) -> npt.NDArray[np.uint16]:
    """The regions (A, H, W) that each annotator drew.

    Raises:
        DataError: The file has another content.
    """
    try:
        return np.stack(drawn_regions(path))
    except UserError as error:
        raise DataError(str(error)) from error
