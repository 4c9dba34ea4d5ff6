"""Predicts TIFF files in windows and writes label maps, tables and overlays."""

import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track

from fusionseg.config.errors import UsageError, UserError
from fusionseg.config.remedies import is_out_of_memory
from fusionseg.data.photo_notices import fits_range
from fusionseg.engine.passes import Passes
from fusionseg.engine.receptive_field import tile_notice
from fusionseg.files.large_tiff import LargeTiff, tifffile
from fusionseg.files.orientation import orientation
from fusionseg.inference.file_answers import Named, Outcome
from fusionseg.inference.input_images import InputImage
from fusionseg.inference.prediction_files import Seen, finish
from fusionseg.inference.prediction_record import PredictionRecord
from fusionseg.inference.predictor import Predictor
from fusionseg.inference.windows import SCRATCH, Windows


def window_passes(tile: int | None, overlap: int, further: Mapping[str, bool]) -> Passes:
    """The size and overlap of windows that a command line describes.

    Args:
        tile: Height and width of a window in pixels of the network's input, rounded up to a multiple of 32.
        overlap: How many of these two neighboring windows share, rounded up as well.
        further: What else can be asked for, which is not written in windows, and whether it is.

    Raises:
        UsageError: If there is no size, no overlap, or something else is asked for, or tifffile is missing.
    """
    tifffile()
    if tile is None:
        raise UsageError("expected --tile, the side of a window such as 1024, found none", "windows")
    if unwritten := [name for name, wanted in further.items() if wanted]:
        raise UsageError(
            f"expected classes and regions alone in windows, found --{unwritten[0]}: leave out one of them",
            "windows",
        )
    if overlap < 1:
        raise UsageError("expected windows that overlap, so that regions can be joined, found 0", "overlap")
    return Passes.of(tile, overlap)


def predict_windows(
    predictor: Predictor, images: Mapping[str, InputImage], record: PredictionRecord, passes: Passes
) -> None:
    """Writes the answers of a model for TIFF files in windows, but for those that the record has.

    Files that are no such TIFF are found before the first is answered. One that was not finished is begun
    anew.

    Args:
        predictor: The model.
        images: The images by the names of their output, where the folder has none yet.
        record: What is done in the folder to write to, and the settings.
        passes: The size and overlap of windows.

    Raises:
        FileExistsError: If the folder holds answers of other files of the same names.
        UserError: If there are images without an answer; all others are predicted before.
    """
    if notice := tile_notice(predictor.model, passes, windows=True):
        print(notice, file=sys.stderr)
    windows = Windows(predictor, passes.record["tile"], passes.record["overlap"])
    work = _Work(windows, record)
    named = [Named(name, *image) for name, image in record.named(images).items()]
    due = [image for image in named if not record.has(image.name, image.path)]
    counts = {image: count for image in due if (count := work.windows_of(image))}
    if counts:
        record.begin()
        shutil.rmtree(record.folder / SCRATCH, ignore_errors=True)
    console = Console(stderr=True)
    steps = (step for image in counts for step in work.steps(image))
    try:
        for _ in track(
            steps,
            "predicting windows",
            total=sum(counts.values()),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ):
            pass
    finally:
        shutil.rmtree(record.folder / SCRATCH, ignore_errors=True)
    finish(predictor, record, work.seen, work.failures, len(images))


@dataclass
class _Work:
    """Answers images, and knows which have no answer.

    Attributes:
        failures: Why images have none.
        seen: What is worth a notice.
    """

    windows: Windows
    record: PredictionRecord
    failures: list[str] = field(default_factory=list)
    seen: Seen = field(init=False)

    def __post_init__(self) -> None:
        self.seen = Seen(self.record.settings["value_range"] is not None)

    def windows_of(self, image: Named) -> int:
        """The number of windows of an image; 0, and a failure, where it cannot be read in windows."""
        try:
            with self._opened(image) as tiff:
                return len(self.windows.grid(tiff.height, tiff.width))
        except UsageError:
            raise
        except (UserError, OSError) as error:
            self._failed(image, str(error))
            return 0

    def steps(self, image: Named) -> Iterator[None]:
        """Answers an image, window by window, and records it."""
        outcome = Outcome(read=True, turned=orientation(image.path) > 1, misfit=True)
        try:
            with self._opened(image) as tiff:
                windows = self.windows.write(tiff, self.record.folder, image.name)
                while True:
                    try:
                        photo = next(windows)
                    except StopIteration as end:
                        entry = {"file_name": image.file_name, **end.value}
                        break
                    deep = photo.dtype != np.uint8
                    # an image fits its range where one of its windows does
                    misfit = outcome.misfit and deep and not fits_range(photo, self.seen.declared)
                    outcome = replace(outcome, deep=deep, misfit=misfit)
                    del photo
                    yield
        except UserError as error:
            self._failed(image, str(error))
        except (MemoryError, RuntimeError, cv2.error) as error:
            if not is_out_of_memory(error):
                raise
            failure = f"out of memory in windows of {self.windows.tile} pixels: give a lower --tile"
            self._failed(image, f"{image.path}: {failure}")
        else:
            self.record.add(image.name, image.files, entry)
            self.seen.add(outcome)

    def _failed(self, image: Named, failure: str) -> None:
        """Adds an image without an answer."""
        self.failures.append(failure)
        self.record.remove(image.name)

    def _opened(self, image: Named) -> LargeTiff:
        predictor = self.windows.predictor
        return LargeTiff(image.path, predictor.channels, predictor.settings["value_range"])
