"""Panoptic quality by COCO's rules, from COCO's files on both sides or from Cityscapes' id files."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fusionseg.config.errors import UserError
from fusionseg.files.coco_panoptic import PanopticFile, panoptic_file, segment_map
from fusionseg.files.images import read_labels
from fusionseg.files.matching import by_stem, some
from fusionseg.metrics.contingency import Floats, overlaps
from fusionseg.metrics.panoptic import outcomes, panoptic_figures, quality
from fusionseg.sample import OFFSET, IntMap
from fusionseg.scores.pairs import matched
from fusionseg.scores.result import Scores, Value
from fusionseg.scores.workers import mapped

ABOUT = """Scores panoptic segmentations by COCO's rules (Kirillov et al., CVPR 2019; panopticapi). With
--layout coco truth and prediction are JSON files, each with a folder of PNG files beside it that has its
name; the prediction needs annotations alone. With --layout cityscapes both are folders of 16-bit id files
(class * 1000 + instance, or class)."""

CITYSCAPES = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
    20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car",
    27: "truck", 28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle",
}  # fmt: skip
"""The ids of the classes that Cityscapes' benchmark evaluates; those from 24 on are things."""

FIRST_THING = 24
NAME = re.compile(r"(?:.*/)?([^/_]+_\d{6}_\d{6})")
"""The part of the name of a file of Cityscapes that says which image it is."""


@dataclass
class Options:
    """The arguments of the command.

    Args:
        truth: JSON file, or folder of id files.
        prediction: JSON file, or folder of id files.
        out: JSON file to write to, beside which the rows are written.
        layout: How the files are laid out.
        truth_masks: Folder of the truth's PNG files, where it is not beside the JSON file under its name.
        prediction_masks: The same for the prediction.
        common: Whether images that only one side has are left out.
        jobs: Number of processes; one for each core where left out.
    """

    truth: Path
    prediction: Path
    out: Path | None = None
    layout: Literal["coco", "cityscapes"] = "coco"
    truth_masks: Path | None = None
    prediction_masks: Path | None = None
    common: bool = False
    jobs: int | None = None


class _Side(NamedTuple):
    """One of the two files of an image, with the segments that it holds; none for id files."""

    path: Path
    segments: npt.NDArray[np.void] | None


class _Image(NamedTuple):
    """What a worker needs to know of an image."""

    name: str
    truth: _Side
    prediction: _Side
    num_classes: int


class _Set(NamedTuple):
    """A set of images and its classes."""

    images: Sequence[_Image]
    classes: Sequence[str]
    things: Sequence[int]


def score(options: Options) -> Scores:
    """Scores two sets of segments.

    Raises:
        UserError: If files are missing, cannot be read, or do not fit together.
    """
    for path in (options.truth, options.prediction):
        if not path.exists():
            raise UserError(f"expected files to score, found no {path}")
    found = _coco(options) if options.layout == "coco" else _cityscapes(options)
    sums = np.stack(mapped(_outcomes, found.images, options.jobs))
    total = sums.sum(0)
    if not total[:, [0, 2]].any():
        raise UserError(f"expected true segments, found none in {options.truth}: everything is void")
    per_class = quality(total)
    counted = total[:, :3].sum(1) > 0
    return Scores(
        metrics=panoptic_figures(total, found.things),
        rows=_rows(found, sums),
        images=len(found.images),
        classes={
            name: {figure: float(values[i]) for figure, values in per_class.items()}
            for i, name in enumerate(found.classes)
            if counted[i]
        },
    )


def _coco(options: Options) -> _Set:
    """The images of two JSON files."""
    for path in (options.truth, options.prediction):
        if not path.is_file():
            raise UserError(
                f"expected a JSON file, found the folder {path}: for id files, --layout cityscapes"
            )
    truth = panoptic_file(options.truth)
    prediction = panoptic_file(options.prediction, truth.categories)
    true = _sides(truth, options.truth_masks or options.truth.with_suffix(""))
    predicted = _sides(prediction, options.prediction_masks or options.prediction.with_suffix(""))
    names = matched(true, predicted, options.truth, options.prediction, options.common)
    classes = [str(category["name"]) for category in truth.categories]
    things = [i for i, category in enumerate(truth.categories) if category["isthing"]]
    images = [_Image(name, true[name], predicted[name], len(classes)) for name in names]
    return _Set(images, classes, things)


def _sides(file: PanopticFile, folder: Path) -> dict[str, _Side]:
    """The PNG files and segments of a JSON file, by the ids of images.

    Raises:
        UserError: If a PNG file is missing.
    """
    if not folder.is_dir():
        raise UserError(
            f"expected a folder of PNG files, found no {folder}: name it with --truth-masks or "
            "--prediction-masks"
        )
    found = by_stem(folder, (".png",))
    if missing := [label for label in file.labels.values() if label not in found]:
        raise UserError(
            f"expected the PNG files that the JSON file lists in {folder}, found no {some(missing)}"
        )
    return {
        str(image): _Side(found[file.labels[image]], segments) for image, segments in file.segments.items()
    }


def _cityscapes(options: Options) -> _Set:
    """The images of two folders of id files.

    Raises:
        UserError: If a name is not one of Cityscapes.
    """
    for path in (options.truth, options.prediction):
        if not path.is_dir():
            raise UserError(f"expected a folder of id files, found the file {path}: for JSON, --layout coco")
    sides = []
    for folder in (options.truth, options.prediction):
        files = by_stem(folder, (".png",))
        own = {name: path for name, path in files.items() if name.endswith("instanceIds")} or files
        if strange := [path.name for name, path in own.items() if name.endswith(("labelIds", "TrainIds"))]:
            raise UserError(f"expected files of instanceIds in {folder}, found {some(strange)}")
        found: dict[str, _Side] = {}
        for name, path in own.items():
            image = NAME.match(name)
            if image is None or image[1] in found:
                raise UserError(
                    f"expected one file <city>_<6 digits>_<6 digits>... for each image in {folder}, found "
                    f"{path.name}"
                )
            found[image[1]] = _Side(path, None)
        sides.append(found)
    true, predicted = sides
    names = matched(true, predicted, options.truth, options.prediction, options.common)
    things = [i for i, number in enumerate(CITYSCAPES) if number >= FIRST_THING]
    images = [_Image(name, true[name], predicted[name], len(CITYSCAPES)) for name in names]
    return _Set(images, list(CITYSCAPES.values()), things)


def _outcomes(image: _Image) -> Floats:
    """True positives, false positives, false negatives and sum of IoU of one image, by class."""
    truth = _codes(image.truth, image.num_classes, crowds=True)
    prediction = _codes(image.prediction, image.num_classes, crowds=False)
    if truth.shape != prediction.shape:
        raise UserError(
            f"expected segments of one size, found {truth.shape} in {image.truth.path}, {prediction.shape} "
            f"in {image.prediction.path} (height, width)"
        )
    return outcomes(overlaps(truth, prediction), image.num_classes)


def _codes(side: _Side, num_classes: int, crowds: bool) -> IntMap:
    """The segments (H, W) as `outcomes` takes them; a prediction has no crowds.

    Raises:
        UserError: If an image has more segments than can be told apart.
    """
    if side.segments is None:
        return _city_codes(read_labels(side.path), num_classes, crowds)
    segments = side.segments
    if len(segments) >= OFFSET:
        raise UserError(f"expected at most {OFFSET - 1} segments, found {len(segments)} in {side.path}")
    crowd = segments["crowd"] if crowds else np.zeros(len(segments), bool)
    label = segments["label"].astype(np.int64) + num_classes * crowd
    codes = np.append(0, (1 + label) * OFFSET + np.arange(1, len(segments) + 1))
    coded: IntMap = codes[segment_map(side.path, segments, complete=True)]
    return coded


def _city_codes(ids: IntMap, num_classes: int, crowds: bool) -> IntMap:
    """The same of a map of Cityscapes: a thing without instance is a crowd, as its own evaluation has it."""
    values, place = np.unique(ids, return_inverse=True)
    position = {number: i for i, number in enumerate(CITYSCAPES)}
    codes = np.zeros(len(values), np.int64)
    for at, value in enumerate(values.tolist()):
        number = value // 1000 if value >= 1000 else value
        if number in position:
            crowd = crowds and value < 1000 and number >= FIRST_THING
            codes[at] = (1 + position[number] + num_classes * crowd) * OFFSET + (
                value % 1000 + 1 if value >= 1000 else 0
            )
    return codes[place].reshape(ids.shape)


def _rows(found: _Set, sums: Floats) -> list[dict[str, Value]]:
    """What each image has of each of its classes."""
    return [
        {
            "image": image.name,
            "class": found.classes[number],
            "tp": int(hits),
            "fp": int(wrong),
            "fn": int(missed),
            "iou": float(iou),
        }
        for image, own in zip(found.images, sums, strict=True)
        for number, (hits, wrong, missed, iou) in enumerate(own)
        if hits or wrong or missed
    ]
