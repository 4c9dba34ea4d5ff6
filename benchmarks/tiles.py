"""Measures how much the answers of a trained network change when it sees images in tiles.

For each overlap: the share of the pixels that have another class, the covering of the regions of whole images
by those of tiles, the largest difference of the confidence, and the time relative to whole images.

python -m benchmarks.tiles --run RUN --images FOLDER [--tile 256] [--overlaps 0,32,64,128] [--number 8]
"""

from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.timing import command_line
from fusionseg import Predictor
from fusionseg.inference.answer import Answer
from fusionseg.inference.input_images import InputImages
from fusionseg.metrics.regions import region_figures, region_sums


class Difference(NamedTuple):
    """How answers in tiles differ from those of whole images.

    Args:
        classes: Share of the pixels with another class.
        covering: The covering of the regions of whole images.
        confidence: The largest difference of the confidence.
        time: The time relative to whole images.
    """

    classes: float
    covering: float
    confidence: float
    time: float


def difference(whole: list[Answer], tiled: list[Answer], time: float) -> Difference:
    """How the answers for the same images differ."""
    pairs = list(zip(whole, tiled, strict=True))
    pixels = sum(one.semantic.size for one in whole)
    sums = np.sum([region_sums(other.region, one.region) for one, other in pairs], 0)
    return Difference(
        classes=sum((one.semantic != other.semantic).sum() for one, other in pairs) / pixels,
        covering=region_figures(sums)["covering"],
        confidence=max(np.abs(one.confidence - other.confidence).max() for one, other in pairs),
        time=time,
    )


def answered(predictor: Predictor, paths: list[Path]) -> tuple[list[Answer], float]:
    """The answers for images, and the seconds that they took."""
    start = perf_counter()
    answers = predictor(paths)
    return answers, perf_counter() - start


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--run", required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--overlaps", default="0,32,64,128")
    parser.add_argument("--number", type=int, default=8)
    given = parser.parse_args()
    found = InputImages([given.images], Path("benchmarks-write-nothing")).by_name.values()
    paths = [image.path for image in islice(found, given.number)]
    predictor = Predictor(given.run)
    predictor(paths[:1])  # warms up
    whole, seconds = answered(predictor, paths)
    table = Table("overlap", title=f"tiles of {given.tile} pixels, {len(paths)} images")
    for column in ("other class", "covering", "confidence differs by", "time"):
        table.add_column(column, justify="right")
    overlaps = [int(overlap) for overlap in given.overlaps.split(",")]
    for overlap in track(overlaps, "predicting", console=Console(stderr=True), transient=True):
        tiles = Predictor(given.run, tile=given.tile, overlap=overlap)
        found_there = difference(whole, *_relative(answered(tiles, paths), seconds))
        table.add_row(
            str(overlap),
            f"{found_there.classes:.2%}",
            f"{found_there.covering:.4f}",
            f"{found_there.confidence:.3f}",
            f"{found_there.time:.2f}",
        )
        notice = tiles.notice
    Console().print(table)
    print(notice)


def _relative(answers: tuple[list[Answer], float], seconds: float) -> tuple[list[Answer], float]:
    """The same with the time relative to that of whole images."""
    return answers[0], answers[1] / seconds


if __name__ == "__main__":
    main()
