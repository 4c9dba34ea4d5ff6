"""The squared distance to the weights that a training started with."""

from collections.abc import Collection, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from fusionseg.config.errors import UsageError
from fusionseg.regularization.base import Regularizer, check_factor


class L2SP(Regularizer):
    """L2-SP (Li, Grandvalet and Davoine, ICML 2018, arXiv:1802.01483, section 3): stays near the start.

    `R = alpha / 2 * |w_S - w_S^0|^2 + beta / 2 * |w_N|^2`, where w_S are the pretrained weights, w_S^0 their
    values when training began, and w_N the weights that started at random. As in the authors' code only
    weights of convolutions and linear layers count (parameters of two dimensions or more): biases and the
    scale and shift of normalization are free.

    It takes the place of weight decay, which draws all weights to 0: set that of the optimizer to 0.

    Args:
        alpha: Factor for pretrained weights, to be chosen by validation.
        beta: Factor for new ones.

    Raises:
        ValueError: If a factor is negative or not finite.
    """

    replaces_decay: ClassVar[bool] = True

    def __init__(self, alpha: float = 0.1, beta: float = 0.01) -> None:
        check_factor("alpha", alpha)
        check_factor("beta", beta)
        self.alpha = alpha
        self.beta = beta
        self._start: dict[str, Tensor] = {}
        self._pairs: list[tuple[nn.Parameter, Tensor]] = []
        self._new: list[nn.Parameter] = []

    def begin(self, network: nn.Module, pretrained: Collection[str], saved: Mapping[str, Tensor]) -> None:
        """Keeps the pretrained weights as they are now, or takes those of the interrupted training.

        Raises:
            UsageError: If nothing is pretrained, or other weights are than in the interrupted training.
        """
        weights = {name: p for name, p in network.named_parameters() if p.requires_grad and p.ndim > 1}
        start: Mapping[str, Tensor] = {name: p for name, p in weights.items() if name in pretrained}
        if saved:
            start = saved
        if not start:
            raise UsageError(
                "L2SP keeps weights near those that they start with, but all start at random: name some "
                "(model.backbone.weights, or --weights), or set model.optimizer.weight_decay instead",
                "model.regularizer",
            )
        if unknown := sorted(start.keys() - weights.keys()):
            raise UsageError(
                f"the checkpoint has the start of {unknown[0]}, which this network does not train",
                "model.regularizer",
            )
        self._start = {name: _copied(value, weights[name]) for name, value in start.items()}
        self._pairs = [(weights[name], value) for name, value in self._start.items()]
        self._new = [p for name, p in weights.items() if name not in self._start]

    def state(self) -> dict[str, Tensor]:
        """The pretrained weights when training began, by the names of the parameters."""
        return dict(self._start)

    def __call__(self, network: nn.Module) -> Tensor:
        """The penalty, a scalar.

        Raises:
            UsageError: If no training has begun.
        """
        if not self._pairs:
            raise UsageError("L2SP knows its start when fit begins: train with it", "model.regularizer")
        distance = torch.stack([(p - start).square().sum() for p, start in self._pairs]).sum()
        penalty = self.alpha / 2 * distance
        if self._new:
            norm = torch.stack([p.to(_wide(p)).square().sum() for p in self._new]).sum()
            penalty = penalty + self.beta / 2 * norm
        return penalty


def _wide(parameter: Tensor) -> torch.dtype:
    """float32, or the parameter's own type where that is wider."""
    return torch.promote_types(parameter.dtype, torch.float32)


@torch.no_grad()
def _copied(value: Tensor, parameter: nn.Parameter) -> Tensor:
    """A copy of a value on the device and in the layout of its parameter, in float32 or wider."""
    return torch.empty_like(parameter, dtype=_wide(parameter), requires_grad=False).copy_(value)
