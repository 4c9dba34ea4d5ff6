"""How far an output is from that of a teacher: the comparisons that heads choose from."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fusionseg.config.errors import UserError
from fusionseg.losses.enlarging import scaled

Term = tuple[Tensor, Tensor]
"""The sum over the values, with a gradient, and their number; both scalars."""


def terms(found: Sequence[Term]) -> tuple[Tensor, Tensor]:
    """The sums and the weights (K,) of K terms, as heads return them."""
    sums, weights = zip(*found, strict=True)
    return torch.stack(sums), torch.stack(weights)


def compared(output: Tensor, taught: Tensor) -> tuple[Tensor, Tensor]:
    """Both outputs in float32 or wider, the teacher's at the size of the other.

    Raises:
        UserError: If they differ in their channels.
    """
    if output.shape[:2] != taught.shape[:2]:
        raise UserError(
            f"expected a teacher whose output has {output.shape[1]} channels, found {taught.shape[1]}: "
            "choose a teacher with a head of the same options, or leave the task out of model.teacher.weight"
        )
    wide = torch.promote_types(output.dtype, torch.float32)
    taught = taught.to(wide)
    if output.ndim == 4:
        taught = scaled(taught, output.shape[-2:])
    return output.to(wide), taught


def softmax_divergence(output: Tensor, taught: Tensor, temperature: float) -> Term:
    """The divergence KL(teacher | output) of classes: `T^2 * sum_c p_c log(p_c / q_c)`.

    p and q are the softmax over dimension 1 of logits divided by T. The factor keeps gradients of the same
    order for any T (Hinton, Vinyals and Dean, arXiv:1503.02531, section 2).

    Args:
        output: Logits (B, C, ...).
        taught: The teacher's, (B, C, ...).
        temperature: T, above 0.

    Returns:
        The sum over images and pixels, and their number.
    """
    output, taught = compared(output, taught)
    with torch.autocast(output.device.type, enabled=False):
        log_q = (output / temperature).log_softmax(1)
        log_p = (taught / temperature).log_softmax(1)
        total = F.kl_div(log_q, log_p, reduction="sum", log_target=True) * temperature**2
    return total, _number(output[:, 0])


def sigmoid_divergence(output: Tensor, taught: Tensor, temperature: float) -> Term:
    """The divergence KL(teacher | output) of independent probabilities, as `softmax_divergence`.

    Args:
        output: Logits (B, K, ...) whose sigmoids are probabilities.
        taught: The teacher's, (B, K, ...).
        temperature: T, above 0.

    Returns:
        The sum over all values, and their number.
    """
    output, taught = compared(output, taught)
    with torch.autocast(output.device.type, enabled=False):
        p = (taught / temperature).sigmoid()
        crossed = F.binary_cross_entropy_with_logits(output / temperature, p, reduction="sum")
        entropy = torch.special.entr(p).sum() + torch.special.entr(1 - p).sum()
        total = (crossed - entropy) * temperature**2
    return total, _number(output)


def smooth_distance(output: Tensor, taught: Tensor) -> Term:
    """The smooth L1 distance (quadratic below 1, linear above) of values (B, K, ...), and their number."""
    output, taught = compared(output, taught)
    return F.smooth_l1_loss(output, taught, reduction="sum"), _number(output)


def angular_distance(output: Tensor, taught: Tensor) -> Term:
    """One minus the cosine of the angle between vectors (B, 3, h, w), and the number of pixels."""
    output, taught = compared(output, taught)
    cosines = F.cosine_similarity(output, taught, dim=1)
    return (1 - cosines).sum(), _number(cosines)


def _number(values: Tensor) -> Tensor:
    """The number of values, as a scalar beside them; made there, so that nobody waits for a copy."""
    return torch.full((), float(values.numel()), dtype=values.dtype, device=values.device)
