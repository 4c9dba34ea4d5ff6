"""CamVid with its 32 classes: 701 frames of street scenes, labeled in colors."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.data.base import UNVERIFIED, DataError, Labels, Split
from fusionseg.data.camvid_frames import SEQUENCES, sequence_of, split_of
from fusionseg.data.components import REGION, components
from fusionseg.data.download_parts import DownloadPart
from fusionseg.data.downloads import check_level, size_notices
from fusionseg.data.file_dataset import FileDataset
from fusionseg.data.layout import check_layout, check_matched, names_in
from fusionseg.files.archives import tree
from fusionseg.files.images import LABEL_SUFFIXES
from fusionseg.files.matching import by_stem, some
from fusionseg.files.photos import photo_suffixes, read_image
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import VOID, Array, Classes, Color

LAYOUT = """    701_StillsRaw_full/<frame>.png
    LabeledApproved_full/<frame>_L.png   in the colors of the classes
    label_colors.txt                     (optional: checked where it is there)"""

PHOTOS = "701_StillsRaw_full"
LABELS = "LabeledApproved_full"
COLORS = "label_colors.txt"

KAGGLE = "class_dict.csv"
"""The file by which Kaggle's copy is known."""

_VOID: Color = (0, 0, 0)

_CLASSES: dict[str, Color] = {
    "Animal": (64, 128, 64),
    "Archway": (192, 0, 128),
    "Bicyclist": (0, 128, 192),
    "Bridge": (0, 128, 64),
    "Building": (128, 0, 0),
    "Car": (64, 0, 128),
    "CartLuggagePram": (64, 0, 192),
    "Child": (192, 128, 64),
    "Column_Pole": (192, 192, 128),
    "Fence": (64, 64, 128),
    "LaneMkgsDriv": (128, 0, 192),
    "LaneMkgsNonDriv": (192, 0, 64),
    "Misc_Text": (128, 128, 64),
    "MotorcycleScooter": (192, 0, 192),
    "OtherMoving": (128, 64, 64),
    "ParkingBlock": (64, 192, 128),
    "Pedestrian": (64, 64, 0),
    "Road": (128, 64, 128),
    "RoadShoulder": (128, 128, 192),
    "Sidewalk": (0, 0, 192),
    "SignSymbol": (192, 128, 128),
    "Sky": (128, 128, 128),
    "SUVPickupTruck": (64, 128, 192),
    "TrafficCone": (0, 0, 64),
    "TrafficLight": (0, 64, 64),
    "Train": (192, 64, 128),
    "Tree": (128, 128, 0),
    "Truck_Bus": (192, 128, 192),
    "Tunnel": (64, 0, 64),
    "VegetationMisc": (192, 192, 0),
    "Wall": (64, 192, 0),
}
"""The official colors of the classes, without Void."""

_MOVING = (
    *("Animal", "Bicyclist", "Car", "CartLuggagePram", "Child", "MotorcycleScooter", "OtherMoving"),
    *("Pedestrian", "SUVPickupTruck", "Train", "Truck_Bus"),
)
"""What the authors call moving objects."""


class CamVid32(FileDataset):
    """CamVid as its authors distribute it: 701 frames of 960 x 720 in 32 classes, one of them Void.

    The classes are the other 31; those that the authors call moving objects are things. There are no region
    labels, so a region is a 4-connected component of a class.

    The authors name no split. This is SegNet's, of whole sequences and parts of them: 367 frames to train
    on, 101 to validate on and 233 to test on, the same as `CamVid` has.

    Download: http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid, the archives of raw and labeled
    frames. License: none is stated; the authors ask to be cited (Brostow et al., PRL 2009).

    Args:
        split: Which frames.
        root: The folder that holds `701_StillsRaw_full` and `LabeledApproved_full`, or the archives of these
            names.
        min_area: Smallest region in pixels. Smaller components, most of them noise of the labels, belong to
            no region.

    Raises:
        DataError: Files are missing or do not match, or there are frames of other sequences.
    """

    verified = UNVERIFIED
    classes = Classes(
        names=tuple(_CLASSES),
        colors=tuple(_CLASSES.values()),
        things=tuple(i for i, name in enumerate(_CLASSES) if name in _MOVING),
        region=REGION,
    )

    def __init__(self, split: Split, root: str | Path, min_area: int = 200) -> None:
        super().__init__(split)
        self.min_area = min_area
        top = tree(root)
        check_level(top, (PHOTOS, LABELS))
        _check_copy(top)
        photo_folder, label_folder = _part(top, PHOTOS), _part(top, LABELS)
        check_layout([photo_folder, label_folder], LAYOUT)
        if (top / COLORS).is_file():
            _check_colors(top / COLORS)
        photos = by_stem(photo_folder, photo_suffixes())
        labels = by_stem(label_folder, LABEL_SUFFIXES)
        self.photos = photos
        self.label_files = {name.removesuffix("_L"): path for name, path in labels.items()}
        check_matched(self.photos, self.label_files, label_folder, photo_folder)
        if strange := [name for name in photos if split_of(name) is None]:
            raise DataError(
                f"expected frames of the sequences {', '.join(SEQUENCES)}, found {some(strange)} in "
                f"{photo_folder}"
            )
        self.names = [name for name in photos if split_of(name) == split]
        if not self.names:
            raise DataError(
                f"no frames to {split} on among {len(photos)} in {photo_folder}: unpack all sequences"
            )
        self.download = tuple(
            DownloadPart(part, "frames", len(files), 701)
            for part, files in ((PHOTOS, photos), (LABELS, labels))
        )
        self.notices = size_notices(self.photo(0), "CamVid", (720, 960))

    @override
    def group(self, index: int) -> str | None:
        """The sequence that a frame is of, such as `0016E5` for `0016E5_07959`."""
        return sequence_of(self.names[index])

    @override
    def labels(self, index: int) -> Labels:
        semantic = _decoded(self.label_files[self.names[index]])
        return Labels(semantic, components(semantic, self.min_area))

    @override
    def sources(self) -> list[object]:
        files = [files[name] for files in (self.photos, self.label_files) for name in self.names]
        return [self.min_area, *files]


def _part(top: ReadablePath, name: str) -> ReadablePath:
    """The folder of a part of the download, or its archive, with its files in such a folder or at its top."""
    archive = top / f"{name}.zip"
    if (top / name).is_dir() or not archive.is_file():
        return top / name
    inside = tree(Path(archive))
    return inside / name if (inside / name).is_dir() else inside


def _check_copy(top: ReadablePath) -> None:
    """Raises a DataError if a folder holds Kaggle's copy."""
    if (top / KAGGLE).is_file():
        raise DataError(
            f"expected {PHOTOS} and {LABELS} in {top}, found {KAGGLE}: this is Kaggle's copy, whose split is "
            "another one; put its photos and its label files of all splits together into these two folders"
        )


def _codes(colors: Array) -> npt.NDArray[np.int32]:
    """One number for each color (..., 3)."""
    return colors.astype(np.int32) @ np.array([65536, 256, 1], np.int32)


def _decoded(path: ReadablePath) -> npt.NDArray[np.uint8]:
    """The class ids (H, W) of a label file.

    Raises:
        DataError: It has a color of no class.
    """
    colors = read_image(path)
    known = _codes(np.array([*_CLASSES.values(), _VOID]))
    order = np.argsort(known)
    codes = _codes(colors)
    place = order[np.searchsorted(known, codes, sorter=order).clip(max=len(known) - 1)]
    if (strange := known[place] != codes).any():
        color = tuple(colors[strange][0].tolist())
        gray = len({*color}) == 1
        hint = " (class ids, as in SegNet's copy, which data.dataset CamVid reads?)" if gray else ""
        raise DataError(f"expected the colors of {COLORS} in {path}, found {color}{hint}")
    ids: npt.NDArray[np.uint8] = np.append(np.arange(len(_CLASSES)), VOID).astype(np.uint8)
    classes: npt.NDArray[np.uint8] = ids.take(place)
    return classes


def _check_colors(path: ReadablePath) -> None:
    """Raises a DataError unless a file of colors has the official ones."""
    for line in names_in(path):
        parts = line.split()
        expected = {**_CLASSES, "Void": _VOID}.get(parts[-1])
        if expected is None or parts[:-1] != [str(value) for value in expected]:
            raise DataError(
                f"expected red, green, blue and name of an official class, found {line!r} in {path}"
            )
