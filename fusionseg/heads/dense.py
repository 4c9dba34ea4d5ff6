"""Outputs of several passes as one: what heads offer whose output has a value for each pixel."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fusionseg.heads.distilled import sigmoid_divergence, smooth_distance, terms


class Dense:
    """A head whose output (B, K, h, w) has a value for each pixel, which means the same in every image.

    Such outputs of the parts of an image can be put together, and those for its mirrored or enlarged copies
    be averaged. The output of other heads belongs to the image as a whole: embeddings, boxes and queries.
    """

    def mirrored(self, output: Tensor, width: int) -> Tensor:
        """The output for an image, from that for its mirrored copy.

        Args:
            output: Every value (B, K, h, w) at its pixel's place in the image.
            width: The width of the output in pixels of the network's input.
        """
        return output

    def rescaled(self, output: Tensor, factor: float) -> Tensor:
        """The output for an image, from that for a copy of `factor` times its height and width.

        Args:
            output: Every value (B, K, h, w) at its pixel's place in the image.
            factor: How often a length in the image goes into the same one in the copy.
        """
        return output

    def averaged(self, outputs: Sequence[Tensor]) -> Tensor:
        """The output (B, K, h, w) of the mean of what the outputs predict."""
        return torch.stack(list(outputs)).mean(0)

    def distillation(self, output: Tensor, taught: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """The sum and weight (1,) of the smooth L1 distance of outputs (B, K, h, w)."""
        return terms([smooth_distance(output, taught)])


class DenseLogits(Dense):
    """A dense head of logits whose sigmoids are averaged."""

    def averaged(self, outputs: Sequence[Tensor]) -> Tensor:
        """The logits (B, K, h, w) of the mean probabilities."""
        return logits_of_mean(outputs)

    def distillation(self, output: Tensor, taught: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """The sum and weight (1,) of the divergence of probabilities, from logits (B, K, h, w)."""
        return terms([sigmoid_divergence(output, taught, temperature)])


def logits_of_mean(outputs: Sequence[Tensor]) -> Tensor:
    """The logits of the mean of the probabilities of logits, all of one shape."""
    logits = torch.stack(list(outputs))
    return F.logsigmoid(logits).logsumexp(0) - F.logsigmoid(-logits).logsumexp(0)


def log_of_mean(outputs: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean of the softmax over dimension 1 of logits, all of one shape (B, C, ...)."""
    logits = torch.stack(list(outputs))
    return logits.log_softmax(2).logsumexp(0) - math.log(len(logits))
