"""Mean intersection over union by every definition in use, from one table of classes."""

from typing import NamedTuple

import numpy as np

from fusionseg.metrics.contingency import Counts, Floats, contingency, mean, ratio
from fusionseg.metrics.mask_boundaries import SHARE, boundary_distance, label_boundaries
from fusionseg.sample import Counted, IntMap

ABSENT = {"miou": np.nan, "miou_absent_zero": 0.0, "miou_absent_one": 1.0}
"""What a class counts that occurs nowhere, by the name of the mean; NaN is left out."""


class SemanticTable(NamedTuple):
    """What the figures of one image are computed from.

    Args:
        table: Pixels of each true class (rows) that were given each class (columns), and last none (C, C +
            1).
        boundary: Intersection and union of the bands along the boundaries of each class (C, 2), in pixels.
    """

    table: Counts
    boundary: Counts


def semantic_table(
    prediction: IntMap, truth: IntMap, num_classes: int, share: float = SHARE
) -> SemanticTable:
    """Compares the classes of one image.

    The band of a class are its pixels within a distance of its contour (Boundary IoU, Cheng et al., CVPR
    2021); the rim of the image is contour, and so is that of void. Void pixels of the truth are left out of
    everything.

    Args:
        prediction: Class ids (H, W), `num_classes` where none is predicted.
        truth: Class ids (H, W), `num_classes` where void.
        num_classes: Number of classes C.
        share: Width of the band as a share of the image's diagonal.

    Raises:
        ValueError: If the sizes differ or an id is out of range.
    """
    table = contingency(truth, prediction, num_classes + 1, num_classes + 1)[:num_classes]
    prediction = np.where(truth < num_classes, prediction, num_classes)
    distance = boundary_distance(truth.shape, share)
    bands = [label_boundaries(ids, distance) for ids in (truth, prediction)]
    sizes = [
        np.bincount(ids[band], minlength=num_classes + 1)[:num_classes]
        for ids, band in zip((truth, prediction), bands, strict=True)
    ]
    common = truth[bands[0] & bands[1] & (truth == prediction)]
    both = np.bincount(common, minlength=num_classes + 1)[:num_classes]
    return SemanticTable(table, np.stack([both, sizes[0] + sizes[1] - both], 1))


def class_figures(table: Counts, boundary: Counts) -> dict[str, Floats]:
    """`iou`, `recall`, `precision`, `dice` and `boundary_iou` of each class (C,), in [0, 1].

    NaN where there is nothing to divide by: the recall of a class without a true pixel, and all of a class
    that does not occur.

    Args:
        table: The sum of `SemanticTable.table` over a set of images.
        boundary: The sum of `SemanticTable.boundary` over the same images.
    """
    hits = table.diagonal()
    true = table.sum(1)
    predicted = table[:, :-1].sum(0)
    return {
        "iou": ratio(hits, true + predicted - hits),
        "recall": ratio(hits, true),
        "precision": ratio(hits, predicted),
        "dice": ratio(2 * hits, true + predicted),
        "boundary_iou": ratio(boundary[:, 0], boundary[:, 1]),
    }


def image_means(image: SemanticTable) -> Floats:
    """The mean IoU of one image by each of the definitions `ABSENT` (3,); NaN without a labeled pixel."""
    if not image.table.any():
        return np.full(len(ABSENT), np.nan)
    ious = class_figures(*image)["iou"]
    return np.array([mean(_filled(ious, absent)) for absent in ABSENT.values()])


def semantic_sums_of(image: SemanticTable) -> Counted:
    """What `mean_iou_figures` are computed from, additive over images."""
    means = image_means(image)
    labeled = not np.isnan(means[0])
    measured = {"table": image.table, "boundary": image.boundary}
    return {**measured, "image_means": np.nan_to_num(means), "images": np.array([labeled], float)}


def mean_iou_figures(sums: Counted) -> dict[str, float]:
    """The figures of a set of images, in [0, 1]; NaN without a labeled pixel.

    `miou` is over the set: intersections and unions of all images are added before they are divided, and
    classes that occur neither in truth nor in prediction are left out (the field's definition).
    `miou_absent_zero` counts such a class as 0, as ADE20K's own evaluation does, `miou_absent_one` as 1.
    `miou_images` and those with its name are means over images of the mean over classes. `accuracy` is the
    share of pixels that are right, `mean_accuracy` the mean recall of the classes with a true pixel,
    `fwiou` the IoU weighted by true pixels (Long et al., CVPR 2015), `dice` the mean F1 over classes, and
    `boundary_iou` the mean Boundary IoU over classes.

    Args:
        sums: The sum of `semantic_sums_of` over the images.
    """
    table = sums["table"]
    classes = class_figures(table, sums["boundary"])
    true = table.sum(1)
    known = true > 0
    over_images = ratio(sums["image_means"], sums["images"])
    figures = {name: mean(_filled(classes["iou"], absent)) for name, absent in ABSENT.items()}
    if not known.any():
        figures = dict.fromkeys(figures, float("nan"))
    figures |= {name.replace("miou", "miou_images"): float(over_images[i]) for i, name in enumerate(ABSENT)}
    return figures | {
        "accuracy": float(ratio(table.trace(), true.sum())),
        "mean_accuracy": mean(classes["recall"]),
        "fwiou": float(ratio(true[known] @ classes["iou"][known], true.sum())),
        "dice": mean(classes["dice"]),
        "boundary_iou": mean(classes["boundary_iou"]),
    }


def _filled(values: Floats, absent: float) -> Floats:
    """The values with another one in place of NaN."""
    return np.where(np.isnan(values), absent, values)
