"""A class for every pixel."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionseg.heads.base import Extra, Head, by_rows, resized
from fusionseg.heads.dense import Dense, log_of_mean, logits_of_mean
from fusionseg.heads.distilled import sigmoid_divergence, softmax_divergence, terms
from fusionseg.heads.ranges import PROBABILITY, Range
from fusionseg.losses import CrossEntropy, Loss
from fusionseg.losses.base import sums_and_weights
from fusionseg.metrics import ImageMetric, SemanticMetrics
from fusionseg.sample import VOID, Array, Classes, Frame, Picture, Sample, Truth
from fusionseg.visualize import semantic_colors


class SemanticHead(Dense, Head):
    """Predicts a class for every pixel.

    The output is the logits of the classes (B, C, h, w). In the binary form, for two classes, it is the
    logit of class 1 (B, 1, h, w).

    Args:
        in_channels: Channels of the features.
        num_classes: Number of classes C.
        losses: Recipes of the losses, which are added.
        dropout: Share of the feature channels that are zeroed in training.
        binary: For two classes: one logit, whose sigmoid is the probability of class 1.
        threshold: In the binary form, the smallest probability of class 1 at which it is predicted.

    Raises:
        ValueError: If `losses` is empty, `threshold` not in (0, 1), or the binary form is asked for other
            than two classes.
    """

    output_options: ClassVar[tuple[str, ...]] = ("binary",)
    task: ClassVar[str] = "semantic"
    learns_from: ClassVar[str] = "semantic"

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        losses: list[Callable[[], Loss]] = [CrossEntropy],  # noqa: B006 (never changed)
        dropout: float = 0.0,
        binary: bool = False,
        threshold: float = 0.5,
    ) -> None:
        super().__init__()
        if binary and num_classes != 2:
            raise ValueError(f"the binary form is for 2 classes, found {num_classes}: leave binary out")
        if not losses:
            raise ValueError("a semantic head needs at least one loss, found an empty list")
        self.num_classes = num_classes
        self.binary = binary
        self.threshold = threshold
        self.check_decoding()
        channels = 1 if binary else num_classes
        self.layers = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(in_channels, channels, 1))
        self.losses = nn.ModuleList(loss() for loss in losses)

    @property
    def tunable(self) -> Mapping[str, Range]:
        """In the binary form the threshold."""
        return {"threshold": PROBABILITY} if self.binary else {}

    @property
    def extras(self) -> Mapping[str, Extra]:
        """The probabilities of classes, their logarithms, that of the predicted class and their entropy."""
        known = (self.probabilities, self.log_probabilities, self.confidence, self.entropy)
        return {one.__name__: one for one in known}

    def check_decoding(self) -> None:
        """Raises a ValueError unless the threshold is in (0, 1)."""
        if not 0 < self.threshold < 1:
            raise ValueError(f"expected a threshold in (0, 1), found {self.threshold}")

    def forward(self, features: Tensor) -> Tensor:
        """The logits (B, C or 1, h, w) from features (B, in_channels, h, w)."""
        return self.layers(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> Tensor:
        """The semantic map (B, H, W) int64 itself, `VOID` where unlabelled."""
        return batch["semantic"]  # type: ignore[no-any-return]

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The sums and weights (K,) of the K losses over the labelled pixels.

        Args:
            output: Logits (B, C or 1, h, w).
            target: Class ids (B, H, W).
        """
        losses: Any = self.losses
        return sums_and_weights(losses, output, target, target != VOID)

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        """The most likely class of every pixel (B, H, W) int64, from logits (B, C or 1, h, w)."""
        return by_rows(self._decided, output, frame)

    def probabilities(self, output: Tensor, frame: Frame) -> Tensor:
        """The probability of each class at every pixel (B, C, H, W), from logits (B, C or 1, h, w)."""
        return by_rows(self._probable, output, frame)

    def log_probabilities(self, output: Tensor, frame: Frame) -> Tensor:
        """The logarithms of the probabilities (B, C, H, W), also of those too small or large for float32."""
        return by_rows(self._log_probable, output, frame)

    def confidence(self, output: Tensor, frame: Frame) -> Tensor:
        """The probability of the predicted class of every pixel (B, H, W), from logits (B, C or 1, h, w)."""
        return by_rows(self._certain, output, frame)

    def entropy(self, output: Tensor, frame: Frame) -> Tensor:
        """The entropy (B, H, W), in nats, of the probabilities, from logits (B, C or 1, h, w)."""
        return by_rows(lambda logits: torch.special.entr(self._probable(logits)).sum(1), output, frame)

    def class_logits(self, output: Tensor, frame: Frame, label: int) -> Tensor:
        """The logit of one class at every pixel, float32 (B, H, W), from logits (B, C or 1, h, w).

        Args:
            output: The logits.
            frame: How they relate to the label map.
            label: The class's id; in the binary form class 0 has the negative of class 1.
        """
        if self.binary:
            return resized(output if label else -output, frame)[:, 0]
        return resized(output[:, label : label + 1], frame)[:, 0]

    def averaged(self, outputs: Sequence[Tensor]) -> Tensor:
        """The logits (B, C or 1, h, w) of the mean probabilities."""
        return logits_of_mean(outputs) if self.binary else log_of_mean(outputs)

    def distillation(self, output: Tensor, taught: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """The sum and weight (1,) of the divergence of probabilities, from logits (B, C or 1, h, w)."""
        divergence = sigmoid_divergence if self.binary else softmax_divergence
        return terms([divergence(output, taught, temperature)])

    def ideal(self, target: Tensor) -> Tensor:
        """Logits (B, C or 1, H, W) of +-20, and 0 where unlabelled."""
        labelled = (target != VOID)[:, None]
        if self.binary:
            return torch.where(labelled, 40.0 * (target == 1)[:, None] - 20.0, 0.0)
        ids = torch.where(labelled[:, 0], target, 0)
        one_hot = F.one_hot(ids, self.num_classes).permute(0, 3, 1, 2)
        return torch.where(labelled, 40.0 * one_hot - 20.0, 0.0)

    def draw_target(self, batch: Sample, classes: Classes) -> Picture:
        """The classes in their colors, black where unlabelled."""
        return self.draw(self.target(batch)[0].cpu().numpy(), classes)

    def metrics(self, classes: Classes) -> list[ImageMetric]:
        """Mean intersection over union and its family."""
        return [SemanticMetrics(len(classes))]

    @classmethod
    def truth(cls, truth: Truth) -> Array | None:
        """The class ids (H, W), `VOID` where unlabelled; None if no pixel is labelled."""
        return truth.semantic if (truth.semantic != VOID).any() else None

    @classmethod
    def draw(cls, labels: Array, classes: Classes) -> Picture:
        """Class ids (H, W) in the classes' colors, void black."""
        return semantic_colors(labels, classes)

    def _decided(self, logits: Tensor) -> Tensor:
        """The class of every pixel (B, H, W), from logits (B, C or 1, H, W)."""
        if self.binary:
            return (logits[:, 0].sigmoid() >= self.threshold).long()
        return logits.max(1).indices

    def _probable(self, logits: Tensor) -> Tensor:
        """The probability of each class (B, C, H, W), from logits (B, C or 1, H, W)."""
        logits = self._tempered(logits)
        if self.binary:
            positive = logits.sigmoid()
            return torch.cat([1 - positive, positive], 1)
        return logits.softmax(1)

    def _certain(self, logits: Tensor) -> Tensor:
        """The probability of the predicted class (B, H, W), from logits (B, C or 1, H, W)."""
        return self._probable(logits).gather(1, self._decided(logits).unsqueeze(1)).squeeze(1)

    def _log_probable(self, logits: Tensor) -> Tensor:
        """The logarithms of the probabilities (B, C, H, W), from logits (B, C or 1, H, W)."""
        logits = self._tempered(logits)
        if self.binary:
            return F.logsigmoid(torch.cat([-logits, logits], 1))
        return logits.log_softmax(1)

    def _tempered(self, logits: Tensor) -> Tensor:
        """The logits, divided by the temperature."""
        return logits if self.temperature == 1 else logits / self.temperature
