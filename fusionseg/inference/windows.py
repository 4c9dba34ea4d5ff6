"""Answers an image that is too large for memory in windows, and joins their answers."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from fusionseg.config.errors import UsageError, UserError
from fusionseg.files.atomic import Json, replacing
from fusionseg.files.csv_text import write_rows
from fusionseg.files.images import write_png
from fusionseg.files.large_tiff import LargeTiff
from fusionseg.files.photos import Photo
from fusionseg.files.tiled_labels import write_tiff
from fusionseg.inference.answer import COLUMNS, Answer
from fusionseg.inference.inputs import NamedPhoto, input_size
from fusionseg.inference.predictor import Predictor
from fusionseg.inference.region_sums import RegionSums
from fusionseg.inference.seams import Seams
from fusionseg.inference.stitching import joined_ids
from fusionseg.inference.thumbnail import Thumbnail
from fusionseg.inference.window_files import WindowFiles
from fusionseg.inference.window_grid import Window, WindowGrid

SCRATCH = ".windows"
"""The folder, in that of the answers, for what windows see until all have been seen."""

WRITTEN = ("semantic", "region")
"""The maps that are written of images in windows."""


@dataclass(frozen=True)
class Windows:
    """How images are answered in windows.

    Memory is that of one window, and some bytes for each region of the image. Each pixel has the answer of
    the window in whose core it lies; the cores of two windows meet in the middle of what both see. Regions
    that both see cross this border are joined (`fusionseg.inference.stitching`).

    Args:
        predictor: The model, which sees a window as it sees an image.
        tile: Height and width of a window in pixels of the network's input, a multiple of 32.
        overlap: How many of these two neighboring windows share at least, a multiple of 32.

    Raises:
        UsageError: If the model sees all images at one size, or depth as a channel.
    """

    predictor: Predictor
    tile: int
    overlap: int

    def __post_init__(self) -> None:
        if self.predictor.settings.get("depth_limit") is not None:
            raise UsageError(
                "expected a model of photos without depth, found one that takes depth: leave windows out",
                "windows",
            )
        found = input_size(self.predictor.settings)
        if found.resize is not None:
            raise UsageError(
                f"expected a model that sees images at a scale, found {found.described}: give a --scale",
                "windows",
            )

    def grid(self, height: int, width: int) -> WindowGrid:
        """The windows of an image.

        Args:
            height: Its height in pixels.
            width: Its width.
        """
        return WindowGrid(height, width, self.tile, self.overlap, self.predictor.settings["scale"])

    def write(self, tiff: LargeTiff, folder: Path, name: str) -> Generator[Photo, None, Json]:
        """Answers an image, and writes the answer when all windows have been seen.

        `semantic/NAME.tif` has a palette, `region/NAME.tif` 32 bits, `segments/NAME.csv` is the table of
        regions, and `overlay/NAME.png` has at most 2000 pixels on a side. Without regions or classes the
        model's answer has no files of these.

        Args:
            tiff: The image.
            folder: The folder to write to.
            name: The name of the files.

        Yields:
            The photo (H, W, C) of each window when it has been answered.

        Returns:
            What the record of predictions holds: `height`, `width` and, with regions, `segments_file`.

        Raises:
            UserError: If the model predicts neither classes nor regions, or the file is damaged.
            OSError: If something cannot be written.
        """
        grid = self.grid(tiff.height, tiff.width)
        (folder / SCRATCH).mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder / SCRATCH) as scratch:
            parts = _Parts(grid, Path(scratch))
            for window in grid:
                rows, columns = window.rows, window.columns
                photo = tiff.window(
                    rows.begin, columns.begin, rows.end - rows.begin, columns.end - columns.begin
                )
                [answer] = self.predictor.answers([NamedPhoto(name, photo)], ("confidence",))
                parts.add(window, answer)
                del answer
                yield photo
            parts.write(folder, name, self.predictor)
        entry: Json = {"height": tiff.height, "width": tiff.width}
        return entry | ({"segments_file": f"segments/{name}.csv"} if "region" in parts.kinds else {})


class _Parts:
    """What is known of an image whose windows are answered one after the other."""

    def __init__(self, grid: WindowGrid, scratch: Path) -> None:
        self.grid = grid
        self.kinds: tuple[str, ...] = ()
        self.files = WindowFiles(scratch, grid)
        self.seams = Seams(grid)
        self.sums = RegionSums()
        self.thumbnail = Thumbnail(grid)
        self.count = 1

    def add(self, window: Window, answer: Answer) -> None:
        """Adds the answer for a window.

        Raises:
            UserError: If it has neither classes nor regions.
        """
        maps = {kind: answer.maps[kind] for kind in WRITTEN if kind in answer.maps}
        self.kinds = tuple(maps)
        if not maps:
            raise UserError(
                f"expected a model of classes or regions, found {', '.join(answer.maps) or 'neither'}: leave "
                "out windows"
            )
        core = window.core
        if "region" in maps:
            region = maps["region"].astype(np.uint32)
            region[region > 0] += np.uint32(self.count - 1)
            self.count = max(self.count, int(region.max()) + 1)
            maps["region"] = region
            self.seams.add(window, region)
            semantic, confidence = (
                answer.maps[kind][core] if kind in answer.maps else None
                for kind in ("semantic", "confidence")
            )
            place = (window.rows.first, window.columns.first)
            self.sums.add(region[core], semantic, confidence, place)
        for kind, labels in maps.items():
            self.files.add(window, kind, labels[core])
        self.thumbnail.add(window, answer.picture(), maps.get("semantic"), maps.get("region"))

    def write(self, folder: Path, name: str, predictor: Predictor) -> None:
        """Writes the answer for the image."""
        shape = (self.grid.height, self.grid.width)
        classes = predictor.classes
        ids: npt.NDArray[np.uint32] | None = None
        if "semantic" in self.kinds:
            path = folder / "semantic" / f"{name}.tif"
            write_tiff(path, self.files.tiles("semantic"), shape, np.uint8, classes.colors)
        if "region" in self.kinds:
            ids = joined_ids(self.seams.pairs(), self.sums.present(), self.count)
            path = folder / "region" / f"{name}.tif"
            write_tiff(path, self.files.tiles("region", ids), shape, np.uint32)
            with (
                replacing(folder / "segments" / f"{name}.csv") as draft,
                draft.open("w", newline="", encoding="utf-8") as file,
            ):
                write_rows(file, self.sums.rows(ids, classes), COLUMNS)
        write_png(folder / "overlay" / f"{name}.png", self.thumbnail.overlay(classes, ids))
