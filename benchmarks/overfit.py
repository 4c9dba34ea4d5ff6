"""Trains each region head on a few photos until it knows them, against what its coding can say at best.

The first training photos of a COCO folder, a quarter as large so that each shows several regions, are
learned in one batch, all in float32, until the covering is 95 % of the oracle's or the steps are used up. At
four fifths of them the learning rate falls to a tenth. Void joins the nearest region, because regions leak
through what nobody learns. FUSIONSEG_DATA/coco_panoptic is the folder by default.

python -m benchmarks.overfit [--root COCO] [--heads BoundaryHead,...] [--steps 800] [--images 4] [--size 128]
    [--scale 0.25]
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.optim import AdamW

from benchmarks.timing import command_line
from benchmarks.training import Setting, Training
from fusionseg import heads as public
from fusionseg.data.coco_panoptic import CocoPanoptic
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.engine.oracle import ideal
from fusionseg.heads import Head, RegionHead
from fusionseg.heads.region_decoding import filled
from fusionseg.metrics.suite import total
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Classes, Prediction, Sample, Truth

ENOUGH = 0.95
"""The share of the oracle's covering at which photos are known."""

EVERY = 50
"""Steps between two looks at the covering."""


class Learned(NamedTuple):
    """How well a head knows its photos.

    Args:
        oracle: Covering of the decoded target.
        covering: Covering of the network's answer.
        steps: Steps that were made.
        seconds: What they took.
    """

    oracle: float
    covering: float
    steps: int
    seconds: float

    @property
    def share(self) -> float:
        """The covering as a share of the oracle's."""
        return self.covering / self.oracle


def photos(root: Path, number: int, size: int, scale: float) -> tuple[Sample, Classes]:
    """One batch of square crops of the first photos at a scale, without void, and the classes of the data.

    Raises:
        ValueError: If a crop shows fewer than two regions: losses that are balanced within an image learn
            nothing from it.
    """
    data = SegmentationDataModule(
        partial(CocoPanoptic, root=root),
        batch_size=number,
        crop_size=(size, size),
        scale=scale,
        augmentation=None,
        workers=0,
        seed=0,
    )
    batch: Sample = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    for name, ids in zip(batch["name"], batch["region"], strict=True):
        if len(ids[ids > 0].unique()) < 2:
            raise ValueError(f"expected several regions, found fewer in the crop of {name}: lower --scale")
    whole = [filled(ids.numpy().astype(np.int32)) for ids in batch["region"]]
    return batch | {"region": torch.from_numpy(np.stack(whole)).long()}, data.classes


def covering(module: FusionModule, predictions: list[Prediction], batch: Sample) -> float:
    """The covering of the answers to a batch."""
    maps = zip(batch["semantic"].byte().numpy(), batch["region"].numpy().astype("uint16"), strict=True)
    sums = (
        module.suite.sums(prediction, Truth(*labels))
        for prediction, labels in zip(predictions, maps, strict=True)
    )
    return module.suite.figures(total(sums))["covering"]


def learned(head: Callable[[Any], Head], batch: Sample, classes: Classes, steps: int) -> Learned:
    """Trains a U-Net with a head until it knows a batch."""
    options = {
        "semantic_head": None,
        "region_head": head,
        "backbone": Backbone("mobilenet_v2"),
        "optimizer": partial(AdamW, lr=2e-3, weight_decay=0.0),
    }
    training = Training(Setting(batch, "32-true"), options)
    module = training.module
    size = (batch["image"].shape[-2], batch["image"].shape[-1])
    oracle = covering(module, ideal(module.heads, batch, size, classes).predictions, batch)
    reached = 0.0
    start = perf_counter()
    for step in range(1, steps + 1):
        if step == steps * 4 // 5:
            for group in training.optimizer.param_groups:
                group["lr"] /= 10
        training()
        if step % EVERY == 0 or step == steps:
            module.eval()
            reached = covering(module, module.predictions(batch, size), batch)
            module.train()
            if reached >= ENOUGH * oracle:
                break
    return Learned(oracle, reached, step, perf_counter() - start)


def codings(names: str | None) -> Iterator[tuple[str, type[RegionHead]]]:
    """The region heads of these names, or all, with their names."""
    for name in names.split(",") if names else public.__all__:
        head = getattr(public, name)
        if isinstance(head, type) and issubclass(head, RegionHead) and head is not RegionHead:
            yield name, head


def main() -> None:
    parser = command_line(__doc__)
    root = Path(os.environ.get("FUSIONSEG_DATA", ".")) / "coco_panoptic"
    parser.add_argument("--root", type=Path, default=root)
    parser.add_argument("--heads", help="names with commas between; all where left out")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--scale", type=float, default=0.25)
    args = parser.parse_args()
    batch, classes = photos(args.root, args.images, args.size, args.scale)
    table = Table("head", title=f"{args.images} photos of {args.size} x {args.size}")
    for column in ("oracle", "covering", "share", f">= {ENOUGH:g}", "steps", "seconds"):
        table.add_column(column, justify="right")
    for name, head in codings(args.heads):
        torch.manual_seed(0)
        found = learned(head, batch, classes, args.steps)
        met = "yes" if found.share >= ENOUGH else "no"
        figures = [f"{value:.3f}" for value in (found.oracle, found.covering, found.share)]
        table.add_row(name, *figures, met, str(found.steps), f"{found.seconds:.0f}")
        print(name, *figures, found.steps, flush=True)
    Console().print(table)


if __name__ == "__main__":
    main()
