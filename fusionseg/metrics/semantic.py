"""Measures of semantic segmentation, all from one table of classes."""

import numpy as np

from fusionseg.metrics.contingency import Counts, Floats, contingency, mean, ratio
from fusionseg.sample import VOID, IntMap


def semantic_sums(prediction: IntMap, truth: IntMap, num_classes: int) -> Counts:
    """How many pixels of which class (row) were given which class (column): (C, C), additive over images.

    Args:
        prediction: Class ids (H, W) in 0..255; what it holds on void pixels of the truth does not matter.
        truth: Class ids (H, W), `VOID` where unlabelled.
        num_classes: Number of classes C.

    Raises:
        ValueError: If the sizes differ or one of the maps holds an id outside of 0..C-1 on labeled pixels.
    """
    table = contingency(truth, prediction, VOID + 1, VOID + 1)
    unknown, answers = (
        np.flatnonzero(n) + num_classes
        for n in (table[num_classes:VOID].any(1), table[:num_classes, num_classes:].any(0))
    )
    classes = f"class ids in 0..{num_classes - 1}"
    if unknown.size:
        raise ValueError(
            f"expected {classes} or {VOID} in the truth, found {unknown.tolist()}: map the labels to classes"
        )
    if answers.size:
        raise ValueError(
            f"expected {classes} where the truth is labeled, the prediction holds {answers.tolist()}"
        )
    return table[:num_classes, :num_classes].copy()


def semantic_per_class(table: Counts) -> dict[str, Floats]:
    """Intersection over union, F1, precision and recall of each class, each (C,), in [0, 1].

    A class that occurs neither in the truth nor in the prediction is NaN in all four. A class that occurs in only one
    of them is 0 in all four, also where the quotient alone would be 0 / 0 (the recall of a class that was predicted but
    does not exist, the precision of one that was never predicted): it was got wrong.

    Args:
        table: The sum of `semantic_sums` over a set of images.
    """
    hits, truth, prediction = (
        np.asarray(n, np.float64) for n in (table.diagonal(), table.sum(1), table.sum(0))
    )
    union = truth + prediction - hits
    return {
        "iou": ratio(hits, union),
        "f1": ratio(2 * hits, truth + prediction),
        "precision": ratio(hits, np.where(union > 0, np.maximum(prediction, 1), 0)),
        "recall": ratio(hits, np.where(union > 0, np.maximum(truth, 1), 0)),
    }


def semantic_figures(table: Counts) -> dict[str, float]:
    """The figures of a set of images, in [0, 1]; NaN without labeled pixels.

    `accuracy` is the share of pixels that are right. `miou`, `f1`, `precision` and `recall` are means of
    `semantic_per_class` over the classes that occur in truth or prediction. `mean_accuracy` is the mean recall over the
    classes that occur in the truth (Long et al., arXiv:1411.4038, section 5): other than `recall`, it does not fall
    because one more class is predicted that does not exist.

    Args:
        table: The sum of `semantic_sums` over a set of images.
    """
    classes = semantic_per_class(table)
    return {
        "miou": mean(classes["iou"]),
        "accuracy": float(ratio(table.trace(), table.sum())),
        "mean_accuracy": mean(ratio(table.diagonal(), table.sum(1))),
        "f1": mean(classes["f1"]),
        "precision": mean(classes["precision"]),
        "recall": mean(classes["recall"]),
    }
