"""Losses of semantic logits that are defined per image: the overlap of prediction and ground truth.

Logits have shape (B, C, H, W), targets are class ids (B, H, W). With one channel (B, 1, H, W), it is the
logit of class 1 against class 0. The loss of an image is the mean over the classes that occur in its ground
truth; with one channel it is that of class 1, whether it occurs or not. The weight is the number of images
with a labelled pixel.
"""

from functools import partial

import torch
from torch import Tensor
from typing_extensions import override

from fusionseg.losses.additive import AdditiveLoss
from fusionseg.losses.base import Loss
from fusionseg.losses.enlarging import by_rows, scaled, wide
from fusionseg.losses.parts import Part, Stage, in_stages, numbers_at_once
from fusionseg.sample import VOID


class Dice(AdditiveLoss):
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

    def sums(self, output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """The sums (B, 3 C + 1) of |P T|, |P| and |T| of all classes, and of labelled pixels."""
        logits, truth = _flat(output, target, mask)
        pixels = mask.flatten(1).unsqueeze(1)
        probability = logits.sigmoid() if output.shape[1] == 1 else logits.softmax(1)
        probability = probability.where(pixels, 0)
        terms = (probability.where(truth, 0), probability, truth, pixels)
        return torch.cat([term.sum(-1).to(logits.dtype) for term in terms], 1)

    @override
    def combined(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        both, likely, true = sums[:, :-1].chunk(3, 1)
        sizes = likely + true
        dice = (2 * both + self.smooth) / (sizes + self.smooth).clamp_min(torch.finfo(sizes.dtype).eps)
        return _over_images(1 - dice, true > 0, sums[:, -1] > 0)


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
        losses = _lovasz_extension(errors, truth, mask)
        return _over_images(losses, truth.any(-1), mask.flatten(1).any(1))

    @override
    def in_parts(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        if output.shape[1] == 1:
            return super().in_parts(output, target, mask)
        normalizers = Stage(by_rows(_log_normalizer, output, target, mask, maps=True), mask.shape[1:])
        losses = in_stages(output, [normalizers, Stage(_by_classes(output, target, mask), output.shape[1:2])])
        occurring = target.new_zeros(len(target), VOID + 1, dtype=torch.bool)
        occurring = occurring.scatter(1, target.where(mask, VOID).flatten(1), True)
        return _over_images(losses, occurring[:, : output.shape[1]], mask.flatten(1).any(1))


def _log_normalizer(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The logarithm of the softmax's denominator (B, H, W) of logits (B, C, H, W)."""
    return logits.logsumexp(1)


def _by_classes(output: Tensor, target: Tensor, mask: Tensor) -> list[Part]:
    """The parts of the losses (B, C) of the classes of each image, from logits and their normalizers."""

    def compute(images: slice, classes: slice, source: Tensor, normalizer: Tensor) -> Tensor:
        pixels = mask[images]
        logits = wide(scaled(source, pixels.shape[1:])).flatten(2)
        ids = torch.arange(classes.start, classes.stop, device=output.device)
        truth = (target[images].flatten(1).unsqueeze(1) == ids.unsqueeze(1)) & pixels.flatten(1).unsqueeze(1)
        probability = (logits - normalizer.flatten(1).unsqueeze(1)).exp()
        return _lovasz_extension((truth.to(logits.dtype) - probability).abs(), truth, pixels)

    channels = output.shape[1]
    # sorting takes four times the memory of other losses
    step = max(1, numbers_at_once(output) // (4 * mask[0].numel()))
    parts = []
    for image in range(len(output)):
        for first in range(0, channels, step):
            images = slice(image, image + 1)
            classes = slice(first, min(first + step, channels))
            part = Part(partial(compute, images, classes), ((images, classes), (images,)), (images, classes))
            parts.append(part)
    return parts


def _lovasz_extension(errors: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """The loss (B, C) of each class from errors and truth (B, C, H * W) and the labelled pixels (B, H, W).

    Errors below 0 cost nothing, so unlabelled pixels come after, and do not change the rank of, those that
    cost something.
    """
    errors = errors.where(mask.flatten(1).unsqueeze(1), -1)
    ranked, order = errors.sort(dim=-1, descending=True)
    steps = _jaccard_steps(truth.gather(-1, order), errors.dtype)
    return (ranked.relu() * steps).sum(-1)


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


def _over_images(losses: Tensor, occurring: Tensor, labelled: Tensor) -> tuple[Tensor, Tensor]:
    """Sum and weight from the losses of the classes of each image, averaged over those that occur.

    Args:
        losses: The losses (B, C).
        occurring: Which classes occur (B, C) bool; a single one always counts.
        labelled: Which images have a labelled pixel (B,) bool.
    """
    if losses.shape[1] == 1:
        occurring = torch.ones_like(occurring)
    images = losses.where(occurring, 0).sum(1) / occurring.sum(1).clamp_min(1)
    return images.where(labelled, 0).sum(), labelled.sum().to(losses.dtype)
