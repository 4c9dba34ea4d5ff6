"""Metrics of semantic segmentation, from one confusion matrix."""

import numpy as np

from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.confusion import semantic_sums
from fusionseg.metrics.contingency import Counts, Floats, mean, ratio
from fusionseg.sample import Counted, Truth


class SemanticMetrics(ImageMetric):
    """Mean intersection over union, accuracy, F1, precision and recall of a semantic segmentation.

    The figures are those of `semantic_figures`, those of each class those of `semantic_per_class`.

    Args:
        num_classes: Number of classes.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import SemanticMetrics
        >>> from fusionseg.sample import Truth
        >>> metric = SemanticMetrics(num_classes=2)
        >>> truth = Truth(semantic=np.array([[0, 0, 1, 255]]), region=np.zeros((1, 4), int))
        >>> metric.update(np.array([[0, 1, 1, 0]]), truth)
        >>> figures = metric.compute()
        >>> [round(float(figures[name]), 3) for name in ("miou", "accuracy")]
        [0.5, 0.667]
    """

    answer = "semantic"
    main = "miou"

    def __init__(self, num_classes: int) -> None:
        super().__init__({"semantic": np.zeros((num_classes, num_classes), np.int64)})
        self.num_classes = num_classes

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`semantic_sums` of one image."""
        return {"semantic": semantic_sums(answer, truth.semantic, self.num_classes)}

    def figures(self, sums: Counted) -> dict[str, float]:
        """`semantic_figures` of a set of images."""
        return semantic_figures(sums["semantic"])

    def per_class(self, sums: Counted) -> dict[str, list[float]]:
        """`iou`, `f1`, `precision` and `recall` of each class; NaN where a class does not occur."""
        return {name: values.tolist() for name, values in semantic_per_class(sums["semantic"]).items()}

    def occurrences(self, sums: Counted) -> Counts:
        """The number of true pixels of each class (C,)."""
        return sums["semantic"].sum(1)  # type: ignore[no-any-return]


class FusedMetrics(ImageMetric):
    """Mean intersection over union and accuracy of the classes after the region vote.

    Args:
        num_classes: Number of classes.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import FusedMetrics
        >>> from fusionseg.sample import Truth
        >>> metric = FusedMetrics(num_classes=2)
        >>> truth = Truth(semantic=np.array([[0, 0, 1, 255]]), region=np.zeros((1, 4), int))
        >>> metric.update(np.array([[0, 1, 1, 0]]), truth)
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'miou_fused': 0.5, 'accuracy_fused': 0.667}
    """

    answer = "fused"

    def __init__(self, num_classes: int) -> None:
        super().__init__({"fused": np.zeros((num_classes, num_classes), np.int64)})
        self.num_classes = num_classes

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`semantic_sums` of one image."""
        return {"fused": semantic_sums(answer, truth.semantic, self.num_classes)}

    def figures(self, sums: Counted) -> dict[str, float]:
        """`miou_fused` and `accuracy_fused`, as `semantic_figures` has them without the suffix."""
        figures = semantic_figures(sums["fused"])
        return {f"{name}_fused": figures[name] for name in ("miou", "accuracy")}

    def per_class(self, sums: Counted) -> dict[str, list[float]]:
        """`iou_fused` of each class; NaN where a class does not occur."""
        return {"iou_fused": semantic_per_class(sums["fused"])["iou"].tolist()}


def semantic_per_class(table: Counts) -> dict[str, Floats]:
    """Intersection over union, F1, precision and recall of each class, each (C,), in [0, 1].

    A class that occurs neither in the truth nor in the prediction is NaN in all four. A class that occurs in
    only one of them is 0 in all four, also where the quotient alone would be 0 / 0 (the recall of a class
    that was predicted but does not exist, the precision of one that was never predicted): it was got wrong.

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
    `semantic_per_class` over the classes that occur in truth or prediction. `mean_accuracy` is the mean
    recall over the classes that occur in the truth (Long et al., arXiv:1411.4038, section 5): other than
    `recall`, it does not fall because one more class is predicted that does not exist.

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
