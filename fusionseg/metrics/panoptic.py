"""Panoptic quality by COCO's rules, from one table of overlaps (Kirillov et al., arXiv:1801.00868)."""

from collections.abc import Sequence

import numpy as np

from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.contingency import Floats, Overlaps, overlaps, ratio, totals
from fusionseg.sample import OFFSET, PANOPTIC_VOID, VOID, Counted, IntMap, Truth


class PanopticQuality(ImageMetric):
    """Panoptic, segmentation and recognition quality of all classes, of things and of stuff.

    The figures are those of `panoptic_figures`. An image without region labels adds nothing.

    Args:
        num_classes: Number of classes.
        things: Ids of the countable classes; the others are stuff.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import PanopticQuality
        >>> from fusionseg.sample import OFFSET, Truth
        >>> metric = PanopticQuality(num_classes=2, things=[1])
        >>> truth = Truth(semantic=np.array([[0, 0, 1, 1, 1]]), region=np.array([[1, 1, 2, 2, 2]]))
        >>> metric.update(np.array([[0, 0, OFFSET + 5, OFFSET + 5, OFFSET + 6]]), truth)
        >>> figures = metric.compute()
        >>> [round(float(figures[name]), 3) for name in ("pq", "pq_things", "pq_stuff")]
        [0.722, 0.444, 1.0]
    """

    answer = "panoptic"

    def __init__(self, num_classes: int, things: Sequence[int]) -> None:
        super().__init__({"panoptic": np.zeros((num_classes, 4))})
        self.num_classes = num_classes
        self.things = tuple(things)

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`panoptic_sums` of one image; zeros where the truth has no regions."""
        segments = panoptic_sums(answer, truth, self.num_classes, self.things)
        # without regions nothing that was found could match, only count as invented
        return {"panoptic": segments if truth.has_regions else np.zeros_like(segments)}

    def figures(self, sums: Counted) -> dict[str, float]:
        """`panoptic_figures` of a set of images."""
        return panoptic_figures(sums["panoptic"], self.things)

    def per_class(self, sums: Counted) -> dict[str, list[float]]:
        """`pq` of each class; NaN for a class without segments."""
        hits, wrong, missed, iou = sums["panoptic"].T
        return {"pq": ratio(iou, hits + wrong / 2 + missed / 2).tolist()}


def panoptic_sums(prediction: IntMap, truth: Truth, num_classes: int, things: Sequence[int]) -> Floats:
    """True positives, false positives, false negatives and sum of IoU by class: (C, 4), additive over images.

    As in COCO's evaluation, a predicted and a true segment of one class match if IoU > 0.5, where pixels of
    the predicted segment on void do not belong to the union, but those on a crowd do. An unmatched predicted
    segment is forgiven if more than half of it lies on void or on a crowd of its class. Crowds are never
    matched and never missed; all crowds of a class in one image are one (COCO's evaluation looks at the last
    of them only).

    Args:
        prediction: Panoptic ids (H, W), `PANOPTIC_VOID` where nothing is predicted.
        truth: The labels of the image.
        num_classes: Number of classes C.
        things: Ids of the thing classes.

    Raises:
        ValueError: If one of the maps holds a class that the data set does not have.
    """
    target = truth.panoptic(things)
    for name, ids in (("prediction", prediction), ("truth", target)):
        if ids.size and not PANOPTIC_VOID <= ids.min() <= ids.max() < num_classes * OFFSET:
            raise ValueError(
                f"expected panoptic ids of class * {OFFSET} + instance with classes 0..{num_classes - 1}, or "
                f"{PANOPTIC_VOID} for void, in the {name}, found {ids.min()}..{ids.max()}"
            )
    if truth.crowd is not None:
        crowd = truth.crowd != VOID
        target[crowd] = (num_classes + truth.crowd[crowd].astype(np.int32)) * OFFSET
    # One class up, so that void becomes 0 and no id is negative.
    return outcomes(overlaps(target + OFFSET, prediction + OFFSET), num_classes)


def outcomes(pairs: Overlaps, num_classes: int) -> Floats:
    """The sums of `panoptic_sums`.

    Args:
        pairs: Overlaps of true and predicted segments, whose ids are (1 + class) * `OFFSET` + instance with
            the class C + class for a crowd, and less than `OFFSET` for void.
        num_classes: Number of classes C.
    """
    rows, columns, row, column, area = pairs
    row_class = rows // OFFSET - 1
    column_class = columns // OFFSET - 1
    row_area = totals(row, area, rows.size)
    column_area = totals(column, area, columns.size)
    cell_class = row_class[row]
    wanted = column_class[column]
    on_void = totals(column, area * (cell_class == -1), columns.size)
    on_crowd = totals(column, area * (cell_class == num_classes + wanted), columns.size)

    iou = area / np.maximum(row_area[row] + column_area[column] - area - on_void[column], 1)
    matched = (cell_class == wanted) & (wanted >= 0) & (iou > 0.5)
    missed = (row_class >= 0) & (row_class < num_classes)
    missed[row[matched]] = False
    wrong = (column_class >= 0) & (2 * (on_void + on_crowd) <= column_area)
    wrong[column[matched]] = False

    hits = wanted[matched]
    counts = [
        np.bincount(ids, minlength=num_classes) for ids in (hits, column_class[wrong], row_class[missed])
    ]
    return np.stack([*counts, totals(hits, iou[matched], num_classes)], 1)


def quality(sums: Floats) -> dict[str, Floats]:
    """Panoptic, segmentation and recognition quality of each class (C,), in [0, 1]; 0 where nothing counts.

    Args:
        sums: The sum of `panoptic_sums` over a set of images.
    """
    hits, wrong, missed, iou = sums.T
    total = hits + (wrong + missed) / 2
    return {
        "pq": iou / np.maximum(total, 0.5),
        "sq": iou / np.maximum(hits, 1),
        "rq": hits / np.maximum(total, 0.5),
    }


def panoptic_figures(sums: Floats, things: Sequence[int]) -> dict[str, float]:
    """Panoptic, segmentation and recognition quality of all classes, of things and of stuff, in [0, 1].

    Means over the classes that have a true segment or a predicted one that counts; NaN where there are none.

    Args:
        sums: The sum of `panoptic_sums` over a set of images.
        things: Ids of the thing classes.
    """
    total = sums[:, :3].sum(1)
    each = quality(sums)
    thing = np.isin(np.arange(len(sums)), things)
    figures: dict[str, float] = {}
    for suffix, chosen in (
        ("", total > 0),
        ("_things", thing & (total > 0)),
        ("_stuff", ~thing & (total > 0)),
    ):
        figures |= {
            name + suffix: float(ratio(values[chosen].sum(), chosen.sum())) for name, values in each.items()
        }
    return figures
