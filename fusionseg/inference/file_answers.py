"""Answers images in files and writes what the model says of each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from fusionseg.config.errors import UserError
from fusionseg.config.remedies import is_out_of_memory, or_windows
from fusionseg.data.photo_notices import fits_range
from fusionseg.files.atomic import Json
from fusionseg.files.orientation import orientation
from fusionseg.files.photos import Photo
from fusionseg.files.surface_maps import MILLIMETER
from fusionseg.inference.answer import SEGMENTED, Answer
from fusionseg.inference.answer_files import SOFT, write_maps
from fusionseg.inference.attribution import AttributionTarget
from fusionseg.inference.explaining import NotPredictedError
from fusionseg.inference.inputs import NamedPhoto, PhotoWithDepth, input_size, named_photo
from fusionseg.inference.instances import instances
from fusionseg.inference.predictor import Predictor

ERRORS = (UserError, MemoryError, RuntimeError, cv2.error)
"""What may be wrong with an image that could be read."""


class Named(NamedTuple):
    """An image to predict.

    Attributes:
        name: The name of its output.
        path: The file.
        file_name: Its path relative to the folder that was named, with `/`.
        depth: The file of its depth, if one was named.
    """

    name: str
    path: Path
    file_name: str
    depth: Path | None = None

    @property
    def files(self) -> list[Path]:
        """The files that its answer depends on."""
        return [self.path] if self.depth is None else [self.path, self.depth]


@dataclass(frozen=True)
class Outcome:
    """What became of an image.

    Attributes:
        entry: What the record holds of its answers; None where it has none.
        failure: Why it has none.
        lacking: Whether that is for too little memory.
        read: Whether it could be read.
        turned: Whether it has an EXIF orientation.
        deep: Whether its values have more than 8 bits.
        misfit: Whether they do not fit their range.
        unexplained: Whether the class that is to be explained is not predicted in it.
    """

    entry: Json | None = None
    failure: str = ""
    lacking: bool = False
    read: bool = False
    turned: bool = False
    deep: bool = False
    misfit: bool = False
    unexplained: bool = False


class _Read(NamedTuple):
    """An image that was to be read.

    Attributes:
        image: The image.
        photo: What is in the file (H, W, C); None where it could not be read.
        outcome: What is known so far.
    """

    image: Named
    photo: Photo | None
    outcome: Outcome


def _kind(photo: Photo) -> tuple[tuple[int, ...], str]:
    """Size and type, which images that are answered at once have in common."""
    return photo.shape, str(photo.dtype)


class FileAnswers:
    """A function that answers an image in a file, and writes the answer into a folder.

    Args:
        predictor: The model.
        folder: The folder to write to.
        settings: Those of the predictor, whether `probabilities`, `soft` maps and `entropy` are written, and
            the class to `explain` and the `depth_step` of files of depth, if there are any.
    """

    def __init__(self, predictor: Predictor, folder: Path, settings: Json) -> None:
        self.predictor = predictor
        self.folder = folder
        self.value_range = settings["value_range"]
        self.depth_limit = settings.get("depth_limit")
        self.depth_step = settings.get("depth_step", MILLIMETER)
        self.seen_at = input_size(settings)
        self.soft = settings["soft"]
        self.target = AttributionTarget(settings["explain"]) if "explain" in settings else None
        self.extras = ["confidence"]
        self.extras += ["contours"] if self.soft else []
        self.extras += [name for name in ("probabilities", "entropy") if settings[name]]

    def __call__(self, image: Named) -> Outcome:
        """What became of an image; errors other than of its file or of memory are raised."""
        [outcome] = self.several([image])
        return outcome

    def several(self, images: Sequence[Named]) -> list[Outcome]:
        """What became of images, of which consecutive ones of one size and type are answered at once."""
        read = [self._opened(image) for image in images]
        found = []
        for _, alike in groupby(read, key=lambda one: one.photo is not None and _kind(one.photo)):
            found += self._answered(list(alike))
        return found

    def _opened(self, image: Named) -> _Read:
        """An image as it is read, or why it cannot be."""
        try:
            photo = self._photo(image)
        except (ValueError, OSError) as error:
            return _Read(image, None, Outcome(failure=str(error)))
        except (MemoryError, cv2.error) as error:
            if not is_out_of_memory(error):
                raise
            remedy = or_windows(image.path, "make it smaller")
            failure = f"{image.path}: out of memory where it is read: {remedy}"
            return _Read(image, None, Outcome(failure=failure, lacking=True))
        return _Read(image, photo, self._read(image.path, photo))

    def _answered(self, alike: list[_Read]) -> list[Outcome]:
        """What became of images of one size and type; one alone where several at once are too many."""
        photos = [NamedPhoto(one.image.name, one.photo) for one in alike if one.photo is not None]
        if not photos:
            return [one.outcome for one in alike]
        try:
            answers = self.predictor.answers(photos, self.extras)
            return [self._kept(*one) for one in zip(alike, photos, answers, strict=True)]
        except ERRORS as error:
            if len(alike) == 1:
                return [self._failed(alike[0], error)]
        return [outcome for one in alike for outcome in self._answered([one])]

    def _kept(self, one: _Read, photo: NamedPhoto, answer: Answer) -> Outcome:
        """What became of an image that has an answer, which is written."""
        explained = self.target is None or self._explained(photo, self.target)
        return replace(one.outcome, entry=self._written(answer), unexplained=not explained)

    def _failed(self, one: _Read, error: Exception) -> Outcome:
        """What became of an image without an answer; errors that are not its own are raised."""
        path = one.image.path
        if isinstance(error, UserError):  # of an exported graph, or too many regions
            return replace(one.outcome, failure=f"{path}: {error}")
        if one.photo is None or not is_out_of_memory(error):
            raise error
        return replace(one.outcome, failure=self._too_large(path, one.photo), lacking=True)

    def _photo(self, image: Named) -> Photo:
        """The image (H, W, C) in its file, with its depth where one is named."""
        depth = image.depth
        given = image.path if depth is None else PhotoWithDepth(image.path, depth, self.depth_step)
        return named_photo(given, 0, self.predictor.channels, self.value_range, self.depth_limit).photo

    def _read(self, path: Path, photo: Photo) -> Outcome:
        """What is worth a notice in an image that was read."""
        deep = photo.dtype != np.uint8
        return Outcome(
            read=True,
            turned=orientation(path) > 1,
            deep=deep,
            misfit=deep and not fits_range(photo, self.value_range is not None),
        )

    def _too_large(self, path: Path, photo: Photo) -> str:
        """Why an image has no answer for which there is too little memory."""
        height, width = photo.shape[:2]
        return (
            f"{path}: out of memory at {width} x {height} pixels and "
            f"{self.seen_at.described}: {or_windows(path, 'give a lower --scale')}"
        )

    def _explained(self, photo: NamedPhoto, target: AttributionTarget) -> bool:
        """Writes where the network looks for a class, and gives whether that is predicted."""
        try:
            self.predictor.attribution(photo, target).write(self.folder)
        except NotPredictedError:
            return False
        return True

    def _written(self, answer: Answer) -> Json:
        """Writes an answer; gives what the record holds of it."""
        entry: Json = dict(zip(("height", "width"), answer.image.shape, strict=False))
        if any(kind in answer.maps for kind in SEGMENTED):
            rows = answer.rows()
            for row in rows:
                row["score"] = None if math.isnan(row["score"]) else row["score"]
            entry["segments"] = rows
            if "panoptic" in answer.maps and answer.classes.things:
                entry["instances"] = instances(answer, rows)
        if not self.soft:
            answer = replace(answer, maps={k: m for k, m in answer.maps.items() if k not in SOFT})
        entry["annotation"] = write_maps(answer, self.folder)
        if "scene" in answer.maps:
            scores = answer.maps["scene"].astype(float).round(6).tolist()
            entry["scenes"] = dict(zip(answer.classes.names, scores, strict=True))
            entry["single"] = bool(getattr(self.predictor.model.heads["scene"], "single", False))
        return entry
