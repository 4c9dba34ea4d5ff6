"""Calibration of the probabilities of classes: whether those of 80 % are right in 80 % of the pixels."""

import numpy as np

from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.contingency import mean, ratio
from fusionseg.metrics.reliability import BINS, LOWEST, calibration_error, reliability
from fusionseg.metrics.risk_coverage import LEVELS, area_under_risk, risk_counts
from fusionseg.sample import VOID, Counted, Truth


class ClassCalibration(ImageMetric):
    """How well the predicted probabilities of classes are those of the truth, over labelled pixels.

    ==================  ======================================================================================
    figure              meaning
    ==================  ======================================================================================
    `ece`               expected calibration error of the most likely class (arXiv:1706.04599, eq. 3)
    `classwise_ece`     mean over the classes of that of each class's probability (Kull et al.,
                        arXiv:1910.12656; the static calibration error of arXiv:1904.01685)
    `brier`             squared errors of the probabilities, summed over classes (Brier, 1950), in [0, 2]; for
                        two classes twice what is often called so
    `nll`               negative log-likelihood of the true class in nats; a logarithm is at least -100
    `aurc`              area under risk over coverage: the mean share of errors among the most confident
                        pixels, over all numbers of them (arXiv:1805.08206)
    `aurc_error`        how far that may be off at most, as pixels are counted in levels of confidence
    ==================  ======================================================================================

    All are means over pixels, never over images, and lower is better.

    Args:
        num_classes: Number of classes C.
        bins: Number of bins, of equal width, of calibration errors.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import ClassCalibration
        >>> from fusionseg.sample import Truth
        >>> metric = ClassCalibration(num_classes=2)
        >>> truth = Truth(semantic=np.array([[0, 0, 1, 255]]), region=np.zeros((1, 4), int))
        >>> first = np.array([[0.8, 0.8, 0.8, 0.3]])
        >>> metric.update(np.log(np.stack([first, 1 - first])), truth)
        >>> {name: round(float(value), 3) for name, value in metric.compute().items() if name != "aurc_error"}
        {'ece': 0.133, 'classwise_ece': 0.133, 'brier': 0.48, 'nll': 0.685, 'aurc': 0.333}
    """

    answer = "log_probabilities"

    def __init__(self, num_classes: int, bins: int = BINS) -> None:
        super().__init__(
            {
                "calibration": np.zeros((bins, 3)),
                "class_calibration": np.zeros((num_classes, bins, 3)),
                "pixel_scores": np.zeros(3),
                "confidence_levels": np.zeros((LEVELS, 2), np.int64),
            }
        )
        self.num_classes = num_classes
        self.bins = bins

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """The sums of one image.

        `calibration` (bins, 3) is `reliability` of the most likely class, `class_calibration` (C, bins, 3)
        that of each class, `pixel_scores` (3,) the number of pixels and the sums of squared errors and of
        negative log-likelihoods, `confidence_levels` what `risk_counts` says.

        Args:
            answer: Logarithms of the probabilities of the classes (C, H, W).
            truth: The labels of the image.

        Raises:
            ValueError: If sizes differ, the truth has other classes, or a logarithm is no number.
        """
        expected = (self.num_classes, *truth.semantic.shape)
        if answer.shape != expected:
            raise ValueError(f"expected log-probabilities {expected}, found {answer.shape}")
        labelled = truth.semantic != VOID
        labels = truth.semantic[labelled]
        if labels.max(initial=0) >= self.num_classes:
            raise ValueError(
                f"expected class ids in 0..{self.num_classes - 1} or {VOID}, found {labels.max()}"
            )
        logs = np.maximum(answer[:, labelled], LOWEST)
        if np.isnan(logs).any():
            raise ValueError("expected log-probabilities, found values that are no number")
        classes: list[Answer] = []
        squares = 0.0
        for number, log in enumerate(logs):
            probability = np.exp(log)
            true = labels == number
            squares += float(np.square(probability - true).sum(dtype=np.float64))
            classes.append(reliability(probability, true, self.bins))
        likely = logs.argmax(0)
        confidence = logs.max(0)
        nll = -float(np.take_along_axis(logs, labels[None].astype(np.intp), 0).sum(dtype=np.float64))
        return {
            "calibration": reliability(np.exp(confidence), likely == labels, self.bins),
            "class_calibration": np.stack(classes),
            "pixel_scores": np.array([labels.size, squares, nll]),
            "confidence_levels": risk_counts(confidence, likely != labels),
        }

    def figures(self, sums: Counted) -> dict[str, float]:
        """The figures of a set of images, NaN without labelled pixels."""
        pixels, squares, nll = sums["pixel_scores"]
        area = area_under_risk(sums["confidence_levels"])
        return {
            "ece": float(calibration_error(sums["calibration"])),
            "classwise_ece": mean(calibration_error(sums["class_calibration"])),
            "brier": float(ratio(squares, pixels)),
            "nll": float(ratio(nll, pixels)),
            "aurc": area.area,
            "aurc_error": area.error,
        }

    def per_class(self, sums: Counted) -> dict[str, list[float]]:
        """The calibration error `ece` of the probability of each class, NaN without labelled pixels."""
        return {"ece": calibration_error(sums["class_calibration"]).tolist()}
