"""The confusion matrix of the classes of one image, which metrics of semantic segmentation add up."""

import numpy as np

from fusionseg.metrics.contingency import Counts, contingency
from fusionseg.sample import VOID, IntMap


def semantic_sums(prediction: IntMap, truth: IntMap, num_classes: int) -> Counts:
    """The confusion matrix (C, C) of true classes (rows) and predicted ones (columns), additive over images.

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
