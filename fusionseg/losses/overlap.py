"""Losses of semantic logits that are defined per image: the overlap of prediction and ground truth.

Logits have shape (B, C, H, W), targets are class ids (B, H, W). With one channel (B, 1, H, W), it is the
logit of class 1 against class 0. The loss of an image is the mean over the classes that occur in its ground
truth; with one channel it is that of class 1, whether it occurs or not. The weight is the number of images
with a labelled pixel.
"""

import torch
from torch import Tensor

from fusionseg.losses.base import Loss


class Dice(Loss):
    """Soft Dice loss, 1 - (2 |P T| + s) / (|P| + |T| + s) of probabilities P and truth T (arXiv:1707.03237).

    Args:
        smooth: The s in the formula; makes small regions count less, and defines the loss where class 1 does
            not occur.

    Raises:
        ValueError: If `smooth` is negative.
    """

    def __init__(self, smooth: float = 1.0) -> None:
        super().__init__()
        if smooth < 0:
            raise ValueError(f"smooth must not be negative, found {smooth}")
        self.smooth = smooth

    def total(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the images' losses, and the number of labelled images."""
        logits, truth = _flat(output, target, mask)
        probability = logits.sigmoid() if output.shape[1] == 1 else logits.softmax(1)
        probability = probability.where(mask.flatten(1).unsqueeze(1), 0)
        both = probability.where(truth, 0).sum(-1)
        sizes = probability.sum(-1) + truth.sum(-1)
        dice = (2 * both + self.smooth) / (sizes + self.smooth).clamp_min(torch.finfo(sizes.dtype).eps)
        return _over_images(1 - dice, truth, mask)


class Lovasz(Loss):
    """Lovász extension of the Jaccard index: its convex surrogate (arXiv:1705.08790).

    With C channels it is the Lovász-Softmax of the classes, with one channel the Lovász hinge of class 1.
    """

    def total(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the images' losses, and the number of labelled images."""
        logits, truth = _flat(output, target, mask)
        if output.shape[1] == 1:
            errors = 1 - torch.where(truth, logits, -logits)
        else:
            errors = (truth.to(logits.dtype) - logits.softmax(1)).abs()
        # Errors below 0 cost nothing, so unlabelled pixels come after, and do not change the rank of, those
        # that cost something.
        errors = errors.where(mask.flatten(1).unsqueeze(1), -1)
        ranked, order = errors.sort(dim=-1, descending=True)
        steps = _jaccard_steps(truth.gather(-1, order), errors.dtype)
        return _over_images((ranked.relu() * steps).sum(-1), truth, mask)


def _jaccard_steps(truth: Tensor, dtype: torch.dtype) -> Tensor:
    """The increase of the Jaccard loss with each further wrong pixel, in the order of the errors."""
    found = truth.cumsum(-1, dtype=torch.int32)
    ranks = torch.arange(1, truth.shape[-1] + 1, dtype=torch.int32, device=truth.device)
    missed = found[..., -1:] - found
    jaccard_loss = 1 - missed.to(dtype) / (missed + ranks)
    return jaccard_loss.diff(dim=-1, prepend=torch.zeros_like(jaccard_loss[..., :1]))


def _flat(output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The logits, and where each channel's class is labelled, both (B, C, H * W)."""
    channels = output.shape[1]
    if channels > 1:
        classes = torch.arange(channels, device=output.device)
    else:
        classes = torch.ones(1, device=output.device)
    truth = (target.flatten(1).unsqueeze(1) == classes.unsqueeze(1)) & mask.flatten(1).unsqueeze(1)
    return output.flatten(2), truth


def _over_images(losses: Tensor, truth: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Sum and weight from the losses (B, C) of the classes of each image, averaged over those that occur."""
    occurring = truth.any(-1) if losses.shape[1] > 1 else torch.ones_like(losses, dtype=torch.bool)
    labelled = mask.flatten(1).any(1)
    images = losses.where(occurring, 0).sum(1) / occurring.sum(1).clamp_min(1)
    return images.where(labelled, 0).sum(), labelled.sum().to(losses.dtype)
