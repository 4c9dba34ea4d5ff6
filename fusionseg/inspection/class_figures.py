"""How frequent each class is in a split, and what training makes of it."""

from typing import NamedTuple

import numpy as np
import torch

from fusionseg.inspection.split_facts import SplitFacts
from fusionseg.losses import CrossEntropy
from fusionseg.sample import Classes


class ClassFigures(NamedTuple):
    """Figures of one class in one split.

    Args:
        pixels: Its share of the labelled pixels, NaN where none is labelled.
        images: The share of the images that show it.
        instances: The number of its regions where it is a thing, None for stuff.
        area: The median area of these in pixels of the label files, None where there are none.
    """

    pixels: float
    images: float
    instances: int | None
    area: float | None


def class_figures(facts: SplitFacts, classes: Classes) -> list[ClassFigures]:
    """The figures of each class in a split."""
    labelled = facts.labelled["semantic"]
    return [
        ClassFigures(
            facts.class_pixels[i] / labelled if labelled else float("nan"),
            float(facts.class_images[i]) / facts.images,
            *_instances(facts, i, classes),
        )
        for i in range(len(classes))
    ]


def _instances(facts: SplitFacts, label: int, classes: Classes) -> tuple[int | None, float | None]:
    """The number of regions of a class of things, and their median area."""
    if label not in classes.things:
        return None, None
    areas = facts.regions.area[facts.regions.label == label]
    return len(areas), float(np.median(areas)) if len(areas) else None


def balanced_weights(facts: SplitFacts) -> list[float] | None:
    """The class weights that `class_weights: balanced` makes of an epoch; None without labels.

    Args:
        facts: The training split.
    """
    if not facts.epoch_pixels.any():
        return None
    loss = CrossEntropy("balanced")
    loss.balance(torch.from_numpy(facts.epoch_pixels))
    assert loss.weight is not None
    weights: list[float] = loss.weight[: len(facts.epoch_pixels)].tolist()
    return weights


def imbalance(facts: SplitFacts) -> float:
    """How many times as frequent the most frequent class is as the rarest that occurs; NaN without labels."""
    present = facts.class_pixels[facts.class_pixels > 0]
    return float(present.max() / present.min()) if len(present) else float("nan")


def absent(facts: SplitFacts, classes: Classes) -> list[str]:
    """The classes of which a split has no pixel."""
    return [classes.names[i] for i in np.flatnonzero(facts.class_pixels == 0)]
