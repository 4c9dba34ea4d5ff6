"""Predicts images in files and writes label maps, COCO panoptic JSON, scene scores and overlays."""

import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track

from fusionseg.config.errors import UserError
from fusionseg.config.remedies import is_out_of_memory
from fusionseg.data.photo_notices import MISFIT, SHALLOW, fits_range
from fusionseg.files.atomic import Json
from fusionseg.files.photos import Photo, orientation, read_image
from fusionseg.inference.answer import Answer
from fusionseg.inference.input_images import InputImage
from fusionseg.inference.inputs import NamedPhoto
from fusionseg.inference.prediction_record import RECORD, PredictionRecord
from fusionseg.inference.predictor import Predictor

OUTPUTS = ("panoptic.json", "scenes.json", "semantic", "region", "panoptic", "overlay", "entropy")
"""What is written, where a model has what it needs; those of further tasks have the tasks' names."""


def check_folder(folder: Path) -> None:
    """Checks that predictions can be written to a folder, as far as is known without the model.

    Raises:
        NotADirectoryError: If it is a file.
        FileExistsError: If it holds predictions without a record, which cannot be continued.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file: choose a folder with --out")
    if not (folder / RECORD).is_file() and any((folder / name).exists() for name in OUTPUTS):
        raise FileExistsError(
            f"{folder} already holds predictions: choose another folder with --out, or remove it"
        )


def predict(
    predictor: Predictor,
    images: Mapping[str, InputImage],
    record: PredictionRecord,
    extras: Collection[str] = (),
) -> None:
    """Writes the answers of a model for images in files, but for those that the record has.

    Args:
        predictor: The model.
        images: The images by the names of their output.
        record: What is done in the folder to write to, and the settings.
        extras: Those of `engine.predictions.EXTRAS` that are written too.

    Raises:
        ValueError: If there are images without an answer; all others are predicted before.
    """
    failures: list[str] = []
    seen = _Seen(record.settings["value_range"] is not None)
    console = Console(stderr=True)
    hidden = not console.is_terminal
    watched = track(images.items(), "predicting", console=console, transient=True, disable=hidden)
    for name, (path, file_name) in watched:
        if record.has(name, path):
            continue
        try:
            photo = read_image(path, record.settings["value_range"], predictor.channels)
        except (ValueError, OSError) as error:
            failures.append(str(error))
            continue
        except (MemoryError, cv2.error) as error:
            if not is_out_of_memory(error):
                raise
            failures.append(f"{path}: out of memory where it is read: make it smaller")
            continue
        seen.add(path, photo)
        try:
            [answer] = predictor.answers([NamedPhoto(name, photo)], extras)
            entry = _written(record.folder, answer)
        except (MemoryError, RuntimeError, cv2.error) as error:
            if not is_out_of_memory(error):
                raise
            failures.append(_too_large(path, photo, record.settings["scale"]))
            continue
        record.add(name, path, {"file_name": file_name, **entry})
    record.finish(predictor.classes)
    for notice in seen.notices():
        print(notice, file=sys.stderr)
    if failures:
        rest = f"; the others are in {record.folder}" if record.entries else ""
        summary = f"{len(failures)} of {len(images)} images have no answer{rest}"
        raise UserError("\n  ".join([summary, *failures]))


def _too_large(path: Path, photo: Photo, scale: float) -> str:
    """Why an image has no answer for which there is too little memory."""
    height, width = photo.shape[:2]
    return (
        f"{path}: out of memory at {width} x {height} pixels and a scale of {scale:g}: give a lower --scale"
    )


class _Seen:
    """Counts what is worth a notice in the images that are read, with or without a declared value range."""

    def __init__(self, declared: bool) -> None:
        self.declared = declared
        self.images = 0
        self.turned = 0
        self.deep = 0
        self.misfits = 0

    def add(self, path: Path, photo: Photo) -> None:
        self.images += 1
        self.turned += orientation(path) > 1
        if photo.dtype != np.uint8:
            self.deep += 1
            self.misfits += not fits_range(photo, self.declared)

    def notices(self) -> Iterator[str]:
        if self.turned:
            yield (
                f"{self.turned} of {self.images} images have an EXIF orientation: answers are on the grid of "
                "the stored pixels, as in training"
            )
        if self.misfits:
            yield (
                f"{self.misfits} of {self.deep} images of more than 8 bits {MISFIT}: give --value_range "
                "'[LOW, HIGH]'"
            )
        if self.declared and self.deep < self.images:
            yield f"{self.images - self.deep} of {self.images} images {SHALLOW}"


def _written(folder: Path, answer: Answer) -> Json:
    """Writes an answer; gives what the record holds of it."""
    height, width = answer.image.shape[:2]
    entry: Json = {
        "height": height,
        "width": width,
        "annotation": answer.write(folder),
    }
    if "scene" in answer.maps:
        scores = answer.maps["scene"].astype(float).round(6).tolist()
        entry["scenes"] = dict(zip(answer.classes.names, scores, strict=True))
    return entry
