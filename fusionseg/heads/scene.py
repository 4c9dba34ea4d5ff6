"""Which classes does the image show."""

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionseg.heads.base import Head
from fusionseg.sample import VOID, Frame, Sample


class SceneTarget(NamedTuple):
    """Which classes are present (B, num_classes), and which images are labelled (B,), both bool."""

    present: Tensor
    labelled: Tensor


class SceneHead(Head):
    """The classes of the whole image, from the mean of its features; the output is logits (B, num_classes).

    The truth comes from the semantic map of what the network sees, a crop in training; void pixels count for nothing.
    An image costs the binary cross-entropy, averaged over the classes; one that is all void is unlabelled. The single
    form is for data that show one class in an image: it costs the cross-entropy, and an image with several classes is
    unlabelled too. In evaluation the mean includes the padding to multiples of 32.

    Args:
        in_channels: Channels of the features.
        num_classes: Number of classes.
        single: An image shows exactly one class: the probabilities of the classes add up to 1.
        min_share: Classes with a smaller share of the labelled pixels are not present in the target. What is measured
            is the presence of any pixel.
        dropout: Share of the averaged features that are zeroed in training.
    """

    task: ClassVar[str] = "scene"

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        single: bool = False,
        min_share: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if single and num_classes < 2:
            raise ValueError(
                f"the single form is for 2 classes or more, found {num_classes}: leave single out"
            )
        if not 0 <= min_share < 1:
            raise ValueError(f"expected a min_share in [0, 1), found {min_share}")
        self.num_classes, self.single, self.min_share = num_classes, single, min_share
        self.layers = nn.Sequential(nn.Dropout(dropout), nn.Linear(in_channels, num_classes))

    def forward(self, features: Tensor) -> Tensor:
        """The logits of the images from their features (B, in_channels, h, w)."""
        return self.layers(features.mean((2, 3)))  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> SceneTarget:
        """What the semantic maps (B, H, W) show, counted without a map for each class."""
        ids = batch["semantic"].flatten(1)
        counts = ids.new_zeros(len(ids), VOID + 1, dtype=torch.int32)
        counts.scatter_add_(1, ids, counts.new_ones(()).expand_as(ids))
        pixels = counts[:, : self.num_classes]
        present = (pixels > 0) & (pixels >= self.min_share * pixels.sum(1, keepdim=True))
        return SceneTarget(present, present.sum(1) == 1 if self.single else present.any(1))

    def loss(self, output: Tensor, target: SceneTarget) -> tuple[Tensor, Tensor]:
        """One term, over the labelled images."""
        with torch.autocast(output.device.type, enabled=False):
            logits = output.to(torch.promote_types(output.dtype, torch.float32))
            truth = target.present.to(logits.dtype)
            if self.single:
                losses = F.cross_entropy(logits, truth, reduction="none")
            else:
                losses = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(1)
            return losses.where(target.labelled, 0).sum()[None], target.labelled.sum().to(logits.dtype)[None]

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        """The probability of every class to be present (B, num_classes) float32, of whatever frame."""
        return output.float().softmax(1) if self.single else output.float().sigmoid()

    def ideal(self, target: SceneTarget) -> Tensor:
        """Logits of +-20, and 0 for images without labels."""
        return torch.where(target.labelled[:, None], 40.0 * target.present - 20.0, 0.0)
