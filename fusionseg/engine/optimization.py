"""Builds optimizers and learning rate schedules from recipes, and groups the parameters that they act on."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import TypedDict

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins import MixedPrecision
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from fusionseg.config.errors import UsageError
from fusionseg.config.recipe import made
from fusionseg.engine.distributed import from_first_rank
from fusionseg.losses import Loss
from fusionseg.networks import Network
from fusionseg.networks.encoder import Encoder
from fusionseg.networks.levels import parameters_by_level


class WarmupPoly(LambdaLR):
    """Linear warm-up, then polynomial decay (1 - progress)^power as in DeepLab (arXiv:1606.00915, sec. 4).

    Args:
        optimizer: The optimizer.
        total_steps: Optimizer steps until the learning rate is 0; the module fills it in.
        warmup: Fraction of the steps in which the learning rate rises to its full value, in [0, 1).
        power: Exponent of the decay; 1 is linear, 0 is constant.

    Raises:
        ValueError: If the number of steps is missing or less than 1, or the warm-up is outside of [0, 1).
    """

    def __init__(
        self, optimizer: Optimizer, total_steps: int | None = None, warmup: float = 0.05, power: float = 0.9
    ) -> None:
        if not total_steps or total_steps < 1:
            raise ValueError(
                f"WarmupPoly needs the number of optimizer steps, found total_steps={total_steps}"
            )
        if not 0 <= warmup < 1:
            raise ValueError(f"expected a warm-up share in [0, 1), found {warmup}")
        rise = min(round(warmup * total_steps), total_steps - 1)

        def factor(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            return float(max(0.0, 1 - (step - rise) / (total_steps - rise)) ** power)

        super().__init__(optimizer, factor)


class ParameterGroup(TypedDict):
    """A group of parameters, as optimizers take it."""

    params: list[nn.Parameter]


def fused(
    recipe: Callable[..., Optimizer], parameters: Iterable[nn.Parameter] | list[ParameterGroup], allowed: bool
) -> Optimizer:
    """The recipe's optimizer, fused if it has such an implementation and the recipe chooses no other.

    Args:
        recipe: Builds an optimizer, given its parameters.
        parameters: What is optimized: parameters or groups of them.
        allowed: Whether the fused implementation may be used.

    Raises:
        UsageError: If the recipe chooses the fused implementation where it may not be used.
        ValueError: If the optimizer refuses its arguments.
    """
    keywords = getattr(recipe, "keywords", {})
    if keywords.get("fused") and not allowed:
        raise UsageError(
            "found true, but gradients cannot be clipped (trainer.gradient_clip_val) under autocast for a "
            "fused optimizer: leave it out",
            "model.optimizer.fused",
        )
    chosen = keywords.get("fused") is not None or keywords.get("foreach") or keywords.get("differentiable")
    use_fused = allowed and not chosen and "fused" in inspect.signature(made(recipe)).parameters
    try:
        return recipe(parameters, fused=True) if use_fused else recipe(parameters)
    except ValueError as error:
        raise ValueError(f"model.optimizer, {made(recipe).__name__}: {error}") from error


def parameter_groups(
    network: nn.Module, encoder: nn.Module, levels: Sequence[list[nn.Parameter]] | None = None
) -> list[ParameterGroup]:
    """The trainable parameters in groups: first those of the encoder, then all others.

    They are separate even if their learning rates are equal, because PyTorch's fused SGD fails if only some
    parameters of a group have momentum, as is the case after the encoder was frozen for some epochs.

    Args:
        network: The network.
        encoder: Its encoder.
        levels: The encoder's trainable parameters, in groups of their own; one where left out.
    """
    of_encoder = {id(p) for p in encoder.parameters()}
    first = levels or [[p for p in encoder.parameters() if p.requires_grad]]
    rest = [p for p in network.parameters() if p.requires_grad and id(p) not in of_encoder]
    return [{"params": group} for group in (*first, rest)]


def configured(
    recipe: Callable[..., Optimizer],
    network: Network,
    encoder_lr: float,
    allowed: bool = True,
    layer_decay: float = 1.0,
) -> Optimizer:
    """The recipe's optimizer of all trainable parameters, with own learning rates for the encoder.

    With layer-wise decay, the rate of stage k of n is `encoder_lr * layer_decay^(n - k + 1)` times that of
    decoders and heads, as in ELECTRA (arXiv:2003.10555) and BEiT (arXiv:2106.08254), for stages of a pyramid
    in place of the layers of a transformer.

    Args:
        recipe: Builds an optimizer, given its parameters.
        network: The network.
        encoder_lr: Learning rate of the encoder as a multiple of the recipe's.
        allowed: Whether the fused implementation may be used.
        layer_decay: Factor of the rate from one stage of the encoder to the one before; 1 for none.

    Raises:
        UsageError: If the recipe chooses the fused implementation where it may not be used.
        ValueError: If the optimizer refuses its arguments.
    """
    levels = None
    if layer_decay != 1 and isinstance(network.encoder, Encoder):
        levels = parameters_by_level(network.encoder)
    optimizer = fused(recipe, parameter_groups(network, network.encoder, levels), allowed)
    of_encoder = optimizer.param_groups[:-1]
    for depth, group in enumerate(reversed(of_encoder), 1):
        group["lr"] *= encoder_lr * layer_decay**depth
    optimizer.register_load_state_dict_post_hook(match_layouts)
    return optimizer


def match_layouts(optimizer: Optimizer) -> None:
    """Lays an optimizer's state out in memory as its parameters, since fused optimizers read both alike.

    The state of a checkpoint has the layout of the device and precision that it was trained on.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if getattr(value, "shape", None) == parameter.shape and value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def allows_fused(trainer: Trainer) -> bool:
    """Whether a fused optimizer works with the trainer's precision.

    Under a GradScaler a fused optimizer unscales by itself. Lightning therefore refuses to clip gradients for
    it under any autocast, also that of bf16, which has no scaler.
    """
    return not (isinstance(trainer.precision_plugin, MixedPrecision) and trainer.gradient_clip_val)


def rates(optimizer: Optimizer) -> list[float]:
    """The learning rates of an optimizer's groups, the stem's first, those of decoders and heads last."""
    return [float(group["lr"]) for group in optimizer.param_groups]


def balance_losses(module: nn.Module, datamodule: object) -> None:
    """Gives the class frequencies of the training data, counted by the first rank, to losses that need them.

    Raises:
        ValueError: If a loss needs them and the data cannot count.
    """
    losses = [m for m in module.modules() if isinstance(m, Loss) and m.needs_counts]
    if not losses:
        return
    count = getattr(datamodule, "class_counts", None)
    if count is None:
        raise ValueError(
            "expected a datamodule with class_counts() to balance by: give class weights instead"
        )
    counts = from_first_rank(count)
    for loss in losses:
        loss.balance(counts)
