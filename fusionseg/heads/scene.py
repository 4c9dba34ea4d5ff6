"""The classes that an image shows."""

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionseg.config.errors import UserError
from fusionseg.heads.base import Head
from fusionseg.heads.distilled import sigmoid_divergence, softmax_divergence, terms
from fusionseg.metrics import ImageMetric, SceneMetrics
from fusionseg.sample import VOID, Classes, Frame, Sample


class SceneTarget(NamedTuple):
    """The target of `SceneHead`.

    Args:
        present: Which classes an image shows (B, C): bool, or float in [0, 1] where images are mixed.
        labelled: Which images take part in the loss (B,) bool.
    """

    present: Tensor
    labelled: Tensor


class SceneHead(Head):
    """Predicts which classes an image shows, from the mean of its features; the output is logits (B, C).

    The ground truth is the label of the whole image where the batch has one (`scene`, NaN where unlabelled),
    else the classes of the semantic map that the network sees, a crop in training. The loss of an image is
    the binary cross-entropy, averaged over the classes; an image without a labelled pixel is unlabelled. The
    single form is for data with one class per image: its loss is the cross-entropy, and an image of several
    classes, or of none, is unlabelled too. In evaluation the mean includes the padding to multiples of 32.

    Args:
        in_channels: Channels of the features.
        num_classes: Number of classes C.
        single: An image shows exactly one class: the probabilities of the classes add up to 1.
        min_share: Classes with a smaller share of the labelled pixels are absent in the target, where the
            batch has label maps and no labels of whole images. The metrics count any pixel as presence.
        dropout: Share of the averaged features that are zeroed in training.
        label_smoothing: Part of the target that is moved from the truth to all classes alike (Szegedy et al.,
            arXiv:1512.00567, section 7); of several classes to one half.

    Raises:
        ValueError: If `min_share` or `label_smoothing` is not in [0, 1), or the single form is asked for
            fewer than two classes.
    """

    output_options: ClassVar[tuple[str, ...]] = ("single",)
    task: ClassVar[str] = "scene"
    learns_from: ClassVar[str] = "semantic"

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        single: bool = False,
        min_share: float = 0.0,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if single and num_classes < 2:
            raise ValueError(
                f"the single form is for 2 classes or more, found {num_classes}: leave single out"
            )
        if not 0 <= min_share < 1:
            raise ValueError(f"expected a min_share in [0, 1), found {min_share}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"expected a label_smoothing in [0, 1), found {label_smoothing}")
        self.num_classes = num_classes
        self.single = single
        self.label_smoothing = label_smoothing
        self.min_share = min_share
        self.layers = nn.Sequential(nn.Dropout(dropout), nn.Linear(in_channels, num_classes))

    def forward(self, features: Tensor) -> Tensor:
        """The logits (B, C) from features (B, in_channels, h, w)."""
        return self.layers(features.mean((2, 3)))  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> SceneTarget:
        """The classes present in the images or their semantic maps (B, H, W), and which are labelled."""
        if "scene" in batch:
            return self._of_images(batch["scene"])
        ids = batch["semantic"].flatten(1)
        # Counting avoids a one-hot map (B, C, H, W), and the number of slots avoids a shape that depends on
        # the data.
        counts = ids.new_zeros(len(ids), VOID + 1, dtype=torch.int32)
        counts.scatter_add_(1, ids, counts.new_ones(()).expand_as(ids))
        pixels = counts[:, : self.num_classes]
        present = (pixels > 0) & (pixels >= self.min_share * pixels.sum(1, keepdim=True))
        labelled = present.sum(1) == 1 if self.single else present.any(1)
        return SceneTarget(present, labelled)

    def _of_images(self, known: Tensor) -> SceneTarget:
        """The target from the labels of whole images (B, C) in [0, 1], NaN where there are none."""
        if self.min_share:
            raise UserError(
                f"min_share {self.min_share} is a share of the pixels of label maps, but the batch has "
                "labels of whole images: leave min_share out"
            )
        labelled = known.isfinite().all(1)
        if self.single:
            labelled &= (known.sum(1) - 1).abs() < 1e-3  # mixed ones add up to 1 but for rounding
        return SceneTarget(known.nan_to_num(), labelled)

    def loss(self, output: Tensor, target: SceneTarget) -> tuple[Tensor, Tensor]:
        """The sum (1,) of the labelled images' losses and their number (1,), from logits (B, C)."""
        with torch.autocast(output.device.type, enabled=False):
            logits = output.to(torch.promote_types(output.dtype, torch.float32))
            present = target.present.to(logits.dtype)
            if self.single:
                losses = F.cross_entropy(
                    logits, present, reduction="none", label_smoothing=self.label_smoothing
                )
            else:
                present = present.lerp(torch.full_like(present, 0.5), self.label_smoothing)
                losses = F.binary_cross_entropy_with_logits(logits, present, reduction="none").mean(1)
            total = losses.where(target.labelled, 0).sum()
            weight = target.labelled.sum().to(logits.dtype)
            return total[None], weight[None]

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        """The probability of each class to be present (B, C) float32, from logits (B, C), for any frame."""
        logits = output.float()
        return logits.softmax(1) if self.single else logits.sigmoid()

    def distillation(self, output: Tensor, taught: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """The sum and weight (1,) of the divergence of probabilities, from logits (B, C)."""
        divergence = softmax_divergence if self.single else sigmoid_divergence
        return terms([divergence(output, taught, temperature)])

    def ideal(self, target: SceneTarget) -> Tensor:
        """Logits (B, C) of +-20, and 0 for unlabelled images."""
        return torch.where(target.labelled[:, None], 40.0 * target.present - 20.0, 0.0)

    def metrics(self, classes: Classes) -> list[ImageMetric]:
        """Mean average precision, F1 and accuracy of the presence of classes."""
        return [SceneMetrics(self.num_classes, self.single)]
