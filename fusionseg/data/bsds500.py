"""BSDS500: photos of nature, each cut into regions by several people."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat
from typing_extensions import override

from fusionseg.data.base import DataError, Labels, Pixels, SegmentationDataset, Split
from fusionseg.data.layout import by_stem, check_layout, check_matched, check_size
from fusionseg.files.images import read_image
from fusionseg.sample import VOID, Classes, Truth

LAYOUT = """    data/images/{train,val,test}/<id>.jpg
    data/groundTruth/{train,val,test}/<id>.mat   (BSR_bsds500.tgz, folder BSR/BSDS500)"""


class BSDS500(SegmentationDataset):
    """BSDS500 in its official layout: 200 / 100 / 200 photos of 481 x 321 or 321 x 481 pixels, 4 to 9 annotators each.

    There are regions only, so that all classes are void: train on it alone with `--model.semantic_head null`. Training
    sees the regions of one annotator, drawn anew in every epoch; evaluation scores against all of them, by the rules of
    the Berkeley benchmark (Arbelaez et al., TPAMI 2011): tune on val, report on test once.

    Args:
        split: Which photos; the official split.
        root: The folder that holds `data`.
    """

    classes = Classes(
        names=("anything",), colors=((128, 128, 128),), region="what a person saw as one part of a scene"
    )

    def __init__(self, split: Split, root: str | Path) -> None:
        super().__init__(split)
        photos, labels = (Path(root) / "data" / part / split for part in ("images", "groundTruth"))
        check_layout([photos, labels], LAYOUT)
        self.photos, self.label_files = by_stem(photos, (".jpg",)), by_stem(labels, (".mat",))
        check_matched(self.photos, self.label_files, labels)
        self.names = list(self.photos)

    def __len__(self) -> int:
        return len(self.names)

    @override
    def name(self, index: int) -> str:
        return self.names[index]

    @override
    def read(self, index: int) -> Pixels:
        photo = self.photos[self.names[index]]
        image, labels = read_image(photo), self.labels(index)
        check_size(labels.region, image, self._label_file(index), photo)
        return Pixels(image, *labels)

    @override
    def labels(self, index: int) -> Labels:
        return Labels(*_labels(_annotations(self._label_file(index))[0]))

    @override
    def annotation(self, index: int, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
        regions: npt.NDArray[np.uint16] = rng.choice(_annotations(self._label_file(index)))
        return regions

    @override
    def truth(self, index: int) -> Truth:
        first, *others = _annotations(self._label_file(index))
        return Truth(*_labels(first), others=tuple(others))

    @override
    def sources(self) -> list[object]:
        return [*self.photos.values(), *self.label_files.values()]

    def _label_file(self, index: int) -> Path:
        return self.label_files[self.names[index]]


def _labels(region: npt.NDArray[np.uint16]) -> Labels:
    return Labels(np.full(region.shape, VOID, np.uint8), region)


def _annotations(path: Path) -> npt.NDArray[np.uint16]:
    """The regions that each annotator drew, (A, H, W)."""
    try:
        people = loadmat(path)["groundTruth"][0]
        regions = np.stack([person["Segmentation"][0, 0] for person in people])
    except Exception as error:  # nobody lists what MATLAB's formats raise
        raise DataError(
            f"expected BSDS500's cell array groundTruth with a Segmentation from each annotator, found {error!r} in "
            f"{path}: download it again"
        ) from error
    low, high = regions.min(initial=0), regions.max(initial=0)
    if regions.ndim != 3 or not regions.size or regions.dtype.kind not in "iu" or low < 0 or high > 65535:
        raise DataError(
            f"expected label maps of integer region ids 0..65535, found {regions.dtype} {regions.shape[1:]} with "
            f"{low}..{high} in {path}"
        )
    return np.ascontiguousarray(regions, np.uint16)
