"""Times the targets and the decoding of each region head, on 60 regions.

Targets are those of four images of 512 x 512, decoded is the ideal output for one of 512 x 1024, at the size
that networks give: masks of queries at a quarter of the sides, all others at full size. Milliseconds are
medians, and of this machine: run it with nothing beside it.

python -m benchmarks.heads [--heads BoundaryHead,...] [--rounds 7]
"""

from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.overfit import codings
from benchmarks.scenes import CLASSES
from benchmarks.timing import command_line, seconds
from fusionseg.heads import MaskQueryHead, RegionHead
from fusionseg.heads.region_rois import MaskRCNNOutput
from fusionseg.sample import Frame, Sample

REGIONS = 60
TARGET = (4, 512, 512)
DECODED = (1, 512, 1024)
STRIDE = 4
"""That of the masks of queries."""

BARS = {"target": 30, "decoding": 60}
"""The most milliseconds of each."""


class Cost(NamedTuple):
    """Median milliseconds of a head's targets and of its decoding."""

    target: float
    decoding: float


def cells(size: tuple[int, int, int]) -> Sample:
    """A batch (B, H, W) of images of Voronoi cells, each of which is a region and of one class."""
    number, height, width = size
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    maps = []
    for _ in range(number):
        points = random.random((REGIONS, 2)) * (height, width)
        nearest = np.zeros((height, width), np.int64)
        closest = np.full((height, width), np.inf)
        for i, (y, x) in enumerate(points):
            distance = (rows - y) ** 2 + (columns - x) ** 2
            nearest[distance < closest] = i + 1
            closest = np.minimum(closest, distance)
        maps.append(nearest)
    region = torch.from_numpy(np.stack(maps))
    return {
        "image": torch.zeros(number, 3, height, width, dtype=torch.uint8),
        "semantic": region % len(CLASSES),
        "region": region,
        "name": [str(i) for i in range(number)],
    }


def cost(recipe: Callable[[Any], RegionHead], wide: Sample, long: Sample, rounds: int) -> Cost:
    """What a head costs on a batch of targets and on an image to decode, after a round of warm-up."""
    head: Any = recipe([1] * 4 if recipe.reads_pyramid else 1)  # type: ignore[attr-defined]
    height, width = long["region"].shape[1:]
    if isinstance(head, MaskQueryHead):
        long = long | {name: long[name][:, ::STRIDE, ::STRIDE] for name in ("semantic", "region")}
    output = head.ideal(head.target(long))
    if isinstance(output, MaskRCNNOutput):
        output = output._replace(detections=None)  # to find them is a part of the decoding
        know_masks(head, output)
    frame = Frame.whole((height, width))
    targets = [seconds(lambda: head.target(wide)) for _ in range(rounds + 1)]
    decoded = [seconds(lambda: head.labels(output, frame)) for _ in range(rounds + 1)]
    return Cost(*(1000 * median(times[1:]) for times in (targets, decoded)))


def know_masks(head: Any, output: MaskRCNNOutput) -> None:
    """Has a head read the ideal masks of boxes once: a network predicts them, and does not decode them."""
    reader = head._reader(output)
    read = reader.masks
    found: list[Tensor] = []

    def masks(boxes: list[Tensor]) -> Tensor:
        if not found:
            found.append(read(boxes))
        return found[0]

    reader.masks = masks
    head._reader = lambda _: reader


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--heads", help="names with commas between; all where left out")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    wide = cells(TARGET)
    long = cells(DECODED)
    table = Table("head", title=f"{REGIONS} regions, {torch.get_num_threads()} threads, milliseconds")
    for name, bar in BARS.items():
        table.add_column(name, justify="right")
        table.add_column(f"<= {bar}", justify="right")
    with torch.inference_mode():
        for name, head in codings(args.heads):
            found = cost(head, wide, long, args.rounds)
            row = []
            for milliseconds, bar in zip(found, BARS.values(), strict=True):
                row += [f"{milliseconds:.1f}", "yes" if milliseconds <= bar else "no"]
            table.add_row(name, *row)
    Console().print(table)


if __name__ == "__main__":
    main()
