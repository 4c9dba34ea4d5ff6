"""Metrics of multi-label classification: which classes an image shows."""

import numpy as np
import numpy.typing as npt
from scipy.special import digamma

from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.contingency import Counts, Floats, mean, ratio, runs
from fusionseg.sample import VOID, Counted, IntMap, Truth

SCENE_SUMS = ("hits", "wrong", "missed", "right", "decisions")
"""The columns of `scene` in `scene_sums`."""

THRESHOLDS = np.square(np.sin(np.arange(128) / 128 * np.pi / 2)).astype(np.float32)
"""The 128 thresholds of precision and recall: dense near 0 and 1, where most probabilities are."""


class SceneMetrics(ImageMetric):
    """Mean average precision, F1 and accuracy of saying which classes an image shows.

    The figures are those of `scene_figures`. The truth is the label of the whole image where there is one
    (`truth.maps["scene"]`), else the classes that occur in the semantic labels. The main figure is the mean
    average precision, and in the single form the accuracy.

    Args:
        num_classes: Number of classes.
        single: Whether an image shows exactly one class.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import SceneMetrics
        >>> from fusionseg.sample import Truth
        >>> metric = SceneMetrics(num_classes=2)
        >>> for shown, probabilities in ((0, [0.9, 0.2]), (1, [0.6, 0.7])):
        ...     truth = Truth(semantic=np.full((2, 2), shown), region=np.zeros((2, 2), int))
        ...     metric.update(np.array(probabilities, np.float32), truth)
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        ... # doctest: +NORMALIZE_WHITESPACE
        {'scene_map': 1.0, 'scene_f1': 0.833, 'scene_accuracy': 0.75, 'scene_map_low': 1.0,
         'scene_map_high': 1.0}
    """

    answer = "scene"
    main = "scene_map"

    def __init__(self, num_classes: int, single: bool = False) -> None:
        zeros = {
            "scene": np.zeros((num_classes, len(SCENE_SUMS)), np.int64),
            "scene_scores": np.zeros((num_classes, 2, THRESHOLDS.size), np.int64),
        }
        if single:
            zeros["scene_top5"] = np.zeros(2, np.int64)
        super().__init__(zeros)
        self.single = single
        if single:
            self.main = "scene_accuracy"

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`image_sums` or `scene_sums` of one image."""
        known = truth.maps.get("scene")
        if known is None:
            return scene_sums(answer, truth.semantic, self.single)
        return image_sums(answer, known > 0.5, self.single)

    def figures(self, sums: Counted) -> dict[str, float]:
        """`scene_figures` of a set of images."""
        return scene_figures(sums)

    def per_class(self, sums: Counted) -> dict[str, list[float]]:
        """`scene_ap` of each class; NaN for a class that no image shows."""
        return {"scene_ap": scene_ap(sums["scene_scores"]).tolist()}

    def occurrences(self, sums: Counted) -> Counts:
        """The number of images that show each class (C,)."""
        return sums["scene_scores"][:, 1].sum(1)  # type: ignore[no-any-return]


def scene_sums(probabilities: npt.NDArray[np.float32], truth: IntMap, single: bool = False) -> Counted:
    """The sums of one image by its semantic labels, as `image_sums` has them.

    All is 0 without labeled pixels and, in the single form, where the truth has several classes.

    Args:
        probabilities: The probability (C,) of each class to be present.
        truth: Class ids (H, W), `VOID` where unlabelled.
        single: Whether an image shows exactly one class.

    Raises:
        ValueError: If a probability is not in [0, 1], or the truth holds an id outside of 0..C-1.
    """
    classes = np.arange(len(probabilities))
    shown = np.setdiff1d(runs(truth, truth)[0], VOID)  # of runs, which are far fewer than pixels
    if strange := np.setdiff1d(shown, classes).tolist():
        raise ValueError(
            f"expected class ids in 0..{classes.size - 1} or {VOID} in the truth, found {strange}: "
            "map the labels to classes"
        )
    sums = image_sums(probabilities, np.isin(classes, shown), single)
    if shown.size == 0 or (single and shown.size > 1):
        return {name: np.zeros_like(value) for name, value in sums.items()}
    return sums


def image_sums(
    probabilities: npt.NDArray[np.float32], present: npt.NDArray[np.bool_], single: bool = False
) -> Counted:
    """The sums of one labeled image, `scene` and `scene_scores`, additive over images.

    `scene` (C, 5) has the columns `SCENE_SUMS`: was the class said and there, said only, there only; how many
    of its decisions were right, and how many there were. A class is said to be there if its probability is at
    least 0.5, and every class is a decision; in the single form the most likely class is said, and the true
    one is the only decision. `scene_scores` (C, 2, 128) counts images without and with the class by the last
    of `THRESHOLDS` that its probability reaches. In the single form `scene_top5` (2,) has, of one image,
    whether fewer than five classes are more likely than the true one, and 1.

    Args:
        probabilities: The probability (C,) of each class to be present.
        present: Which classes it shows (C,).
        single: Whether an image shows exactly one class.

    Raises:
        ValueError: If a probability is not in [0, 1].
    """
    classes = np.arange(len(probabilities))
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError(
            f"expected probabilities in [0, 1], found {probabilities.min()}..{probabilities.max()}"
        )
    scores = np.zeros((classes.size, 2, THRESHOLDS.size), np.int32)
    said = classes == probabilities.argmax() if single else probabilities >= 0.5
    asked = present if single else np.ones_like(present)
    columns = (said & present, said & ~present, ~said & present, asked & (said == present), asked)
    scores[classes, present.astype(int), np.searchsorted(THRESHOLDS, probabilities, "right") - 1] = 1
    sums: Counted = {"scene": np.stack(columns, 1).astype(np.int64), "scene_scores": scores}
    if single:
        likelier = np.count_nonzero(probabilities > probabilities[present].max(initial=0))
        sums["scene_top5"] = np.array([likelier < 5, 1], np.int64)
    return sums


def scene_ap(scores: Counts) -> Floats:
    """The average precision of each class (C,), in [0, 1].

    It is the sum of (R_n - R_{n-1}) P_n over `THRESHOLDS` from the highest to 0, with the precision P_n and
    the recall R_n of the images whose probability reaches it. So it is exactly the average precision of
    probabilities rounded down to thresholds. That of the probabilities themselves lies within
    `scene_ap_bounds`. NaN for a class that no image shows, and for fewer than two images, which have no
    ranking.

    Args:
        scores: The sum of `scene_scores` of `scene_sums` over a set of images.
    """
    shown, others = _ranked(scores)
    found = shown.cumsum(1)
    return _mean_precision(shown, others, shown * found / np.maximum(found + others.cumsum(1), 1))


def scene_ap_bounds(scores: Counts) -> tuple[Floats, Floats]:
    """What the average precision of each class (C,) is at least and at most, whatever ties there are.

    Nothing is known of the order of images between two thresholds. At least: those without the class come
    first, so that after i images with it, of a in all, the precision is (A + i) / (A + n + i), where A images
    with the class come before them and n without it up to the second threshold. At most: those with the class
    come first, and have one probability.

    Args:
        scores: As of `scene_ap`.
    """
    shown, others = _ranked(scores)
    found, wrong = shown.cumsum(1), others.cumsum(1)
    # the sum over i of 1 - n / (A + n + i)
    least = shown - wrong * (digamma(found + wrong + 1) - digamma(found - shown + wrong + 1))
    most = shown * found / np.maximum(found + wrong - others, 1)
    return _mean_precision(shown, others, least), _mean_precision(shown, others, most)


def _ranked(scores: Counts) -> tuple[Floats, Floats]:
    """The numbers of images with and without each class (C, 128), from the highest threshold down."""
    return scores[:, 1, ::-1].astype(np.float64), scores[:, 0, ::-1].astype(np.float64)


def _mean_precision(shown: Floats, others: Floats, precisions: Floats) -> Floats:
    """The mean over the images that show a class (C,) of precisions, which are added at each threshold."""
    images = shown.sum(1)
    return ratio(precisions.sum(1), np.where(images + others.sum(1) > 1, images, 0))


def scene_figures(sums: Counted) -> dict[str, float]:
    """The figures of a set of images, in [0, 1]; NaN without labeled images.

    `scene_map` is the mean of `scene_ap` over the classes that some image shows, and NaN for a single image.
    That of the probabilities themselves lies between `scene_map_low` and `scene_map_high`.
    `scene_f1` is the mean of 2 TP / (2 TP + FP + FN) over the classes that some image shows or was said to
    show. `scene_accuracy` is the share of right decisions over classes and labeled images together; in the
    single form it is the share of images whose most likely class is the true one (top-1), and `scene_top5`
    that of images whose true class is among the five most likely.

    Args:
        sums: The sum of `scene_sums` over a set of images.
    """
    hits, wrong, missed, right, decisions = sums["scene"].T
    figures = {
        "scene_map": mean(scene_ap(sums["scene_scores"])),
        "scene_f1": mean(ratio(2 * hits, 2 * hits + wrong + missed)),
        "scene_accuracy": float(ratio(right.sum(), decisions.sum())),
    }
    low, high = scene_ap_bounds(sums["scene_scores"])
    figures |= {"scene_map_low": mean(low), "scene_map_high": mean(high)}
    if "scene_top5" in sums:
        figures["scene_top5"] = float(ratio(*sums["scene_top5"]))
    return figures
