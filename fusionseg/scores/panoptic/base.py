"""What a layout of panoptic files gives: the images of both sides and the classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from fusionseg.config.errors import UserError
from fusionseg.sample import IntMap


@dataclass
class Options:
    """The arguments of the command.

    Args:
        truth: JSON file, or folder of id files.
        prediction: JSON file, or folder of id files.
        out: JSON file to write to, beside which the rows are written.
        layout: How the files are laid out.
        truth_masks: Folder of the truth's PNG files, where it is not beside the JSON file under its name;
            with --layout ade20k that of the files of instances.
        prediction_masks: The same for the prediction.
        mapping: ADE20K's ade20k_instance_catid_mapping.txt, where it lies in no folder above the truth.
        common: Whether images that only one side has are left out.
        jobs: Number of processes; one for each core where left out.
    """

    truth: Path
    prediction: Path
    out: Path | None = None
    layout: Literal["coco", "cityscapes", "ade20k"] = "coco"
    truth_masks: Path | None = None
    prediction_masks: Path | None = None
    mapping: Path | None = None
    common: bool = False
    jobs: int | None = None


class Side(Protocol):
    """The files of an image on one side."""

    @property
    def path(self) -> Path:
        """The file that messages name."""

    def codes(self, num_classes: int, crowds: bool) -> IntMap:
        """The segments (H, W) as `metrics.panoptic.outcomes` takes them; a prediction has no crowds."""


class ImageFiles(NamedTuple):
    """An image, as a worker needs it.

    Args:
        name: Its name.
        truth: The files of the truth.
        prediction: The files of the prediction.
    """

    name: str
    truth: Side
    prediction: Side


class PanopticSet(NamedTuple):
    """A set of images and its classes.

    Args:
        images: The images.
        classes: The names of the classes.
        things: The classes that are things.
        notices: What is said of images that are left out.
    """

    images: Sequence[ImageFiles]
    classes: Sequence[str]
    things: Sequence[int]
    notices: Sequence[str]


def check_folders(*paths: Path) -> None:
    """Raises a UserError unless all paths are folders."""
    for path in paths:
        if not path.is_dir():
            raise UserError(f"expected a folder of id files, found the file {path}: for JSON, --layout coco")
