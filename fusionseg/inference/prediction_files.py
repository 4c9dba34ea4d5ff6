"""Predicts images in files and writes label maps, COCO JSON, tables and overlays."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path

from rich.console import Console
from rich.progress import track

from fusionseg.config.errors import UserError
from fusionseg.data.photo_notices import MISFIT, SHALLOW
from fusionseg.inference.file_answers import FileAnswers, Named, Outcome
from fusionseg.inference.input_images import InputImage
from fusionseg.inference.inputs import batches
from fusionseg.inference.overlapping import overlapped
from fusionseg.inference.prediction_record import RECORD, PredictionRecord
from fusionseg.inference.predictor import Predictor

OUTPUTS = (
    *("panoptic.json", "instances.json", "segments.csv", "scenes.json", "scenes.csv"),
    *("semantic", "region", "panoptic"),
    *("overlay", "confidence", "boundaries", "probabilities", "entropy", "disagreement", "segments"),
    *("explain", "attribution"),
)
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


def predict(predictor: Predictor, images: Mapping[str, InputImage], record: PredictionRecord) -> None:
    """Writes the answers of a model for images in files, but for those that the record has.

    While the network sees an image, the one before is decoded and written; or as many at once as the
    predictor's batch has. One for which there is too little memory then is tried once more alone.

    Args:
        predictor: The model.
        images: The images by the names of their output, where the folder has none yet.
        record: What is done in the folder to write to, and the settings.

    Raises:
        FileExistsError: If the folder holds answers of other files of the same names.
        ValueError: If there are images without an answer; all others are predicted before.
    """
    failures: list[str] = []
    seen = Seen(record.settings["value_range"] is not None)
    answers = FileAnswers(predictor, record.folder, record.settings)
    named = [Named(name, *image) for name, image in record.named(images).items()]
    due = [image for image in named if not record.has(image.name, *image.files)]
    if due:
        record.begin()
    console = Console(stderr=True)
    # the chance of dropout is the whole process's
    threads = 1 if "samples" in record.settings else 2
    several = batches(due, predictor.batch_size)
    with closing(overlapped(answers.several, several, _lacking, threads)) as outcomes:
        watched = track(
            chain.from_iterable(outcomes),
            "predicting",
            total=len(images),
            completed=len(images) - len(due),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        for image, outcome in zip(due, watched, strict=True):
            seen.add(outcome)
            if outcome.entry is None:
                failures.append(outcome.failure)
                record.remove(image.name)
            else:
                record.add(image.name, image.files, {"file_name": image.file_name, **outcome.entry})
    finish(predictor, record, seen, failures, len(images))


def _lacking(outcomes: Sequence[Outcome]) -> bool:
    """Whether there was too little memory for an image."""
    return any(outcome.lacking for outcome in outcomes)


def finish(
    predictor: Predictor, record: PredictionRecord, seen: "Seen", failures: Sequence[str], count: int
) -> None:
    """Writes what is of all images together, and reports what is worth a notice.

    Args:
        predictor: The model.
        record: What is done.
        seen: What was seen of images.
        failures: Why images have no answer.
        count: The number of all images.

    Raises:
        UserError: If there are images without an answer.
    """
    record.withdraw()
    record.finish(predictor.classes)
    for notice in seen.notices():
        print(notice, file=sys.stderr)
    if failures:
        rest = f"; the others are in {record.folder}" if record.lines else ""
        summary = f"{len(failures)} of {count} images have no answer{rest}"
        raise UserError("\n  ".join([summary, *failures]))


class Seen:
    """Counts what is worth a notice in the images that are read, with or without a declared value range."""

    def __init__(self, declared: bool) -> None:
        self.declared = declared
        self.images = 0
        self.turned = 0
        self.deep = 0
        self.misfits = 0
        self.unexplained = 0

    def add(self, outcome: Outcome) -> None:
        """Adds an image."""
        self.images += outcome.read
        self.turned += outcome.turned
        self.deep += outcome.deep
        self.misfits += outcome.misfit
        self.unexplained += outcome.unexplained

    def notices(self) -> Iterator[str]:
        """A line for each thing that is worth one."""
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
        if self.unexplained:
            yield (
                f"{self.unexplained} of {self.images} images have no pixel of the class to explain, and no "
                "attribution"
            )
        if self.declared and self.deep < self.images:
            yield f"{self.images - self.deep} of {self.images} images {SHALLOW}"
