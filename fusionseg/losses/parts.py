"""Losses of large outputs in parts, so that the output is never enlarged to the labels as a whole.

With many classes, the enlarged logits are the largest tensors of a training by far. Here they are enlarged
part by part, in the forward pass and once more in the backward pass, so that no more is in memory than the
output itself, its gradient, one part, and maps of one channel.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable
from typing_extensions import override

Index: TypeAlias = tuple[slice, ...]

LARGE = 2**27
"""From so many numbers on, an enlarged output is computed in parts; 512 MiB in float32."""

SHARE = 10
"""A part, in float32, has as many bytes as this fraction of the output."""


def numbers_at_once(output: Tensor) -> int:
    """How many numbers a part of an output has."""
    return int(output.numel() * output.element_size() / (4 * SHARE))


class Part(NamedTuple):
    """A part of a stage.

    Args:
        compute: From what is read to the value of the part.
        reads: What is read of the output, and of the results of the stages before.
        writes: Where the value is added to the stage's result.
    """

    compute: Callable[..., Tensor]
    reads: tuple[Index, ...]
    writes: Index


class Stage(NamedTuple):
    """A result (B, ...) that is computed in parts, from the output and the results of the stages before.

    Args:
        parts: The parts.
        size: The shape of the result of an image; if left out, that of each part's value of an image.
    """

    parts: Sequence[Part]
    size: tuple[int, ...] | None = None


def in_stages(output: Tensor, stages: Sequence[Stage]) -> Tensor:
    """The result of the last stage; each part is computed once more in the backward pass.

    Args:
        output: The output (B, K, h, w), the only tensor of which there are gradients.
        stages: The stages, each of which may read the results of those before.
    """
    result: Tensor = _InStages.apply(stages, output)
    return result


class _Context(FunctionCtx):
    """State of the forward pass that the backward pass needs."""

    stages: Sequence[Stage]
    saved_tensors: tuple[Tensor, ...]


class _InStages(Function):
    """Runs the stages, and again one after the other from the last to the first in the backward pass."""

    @staticmethod
    @override
    def forward(ctx: _Context, stages: Sequence[Stage], output: Tensor) -> Tensor:
        tensors = [output]
        for stage in stages:
            tensors.append(_result(stage, tensors))
        ctx.stages = stages
        ctx.save_for_backward(*tensors[:-1])
        return tensors[-1]

    @staticmethod
    @override
    @once_differentiable
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        gradients = [*map(torch.zeros_like, tensors), gradient]
        for number in reversed(range(len(tensors))):
            for part in ctx.stages[number].parts:
                _add_gradients(part, tensors, gradients, gradients[number + 1])
        return None, gradients[0]


def _result(stage: Stage, tensors: Sequence[Tensor]) -> Tensor:
    """The result of a stage (B, ...), from the output and the results of the stages before."""
    result = None
    for part in stage.parts:
        value = part.compute(*(t[index] for t, index in zip(tensors, part.reads, strict=False)))
        if result is None:
            result = value.new_zeros(len(tensors[0]), *(stage.size or value.shape[1:]))
        result[part.writes] += value
    assert result is not None
    return result


def _add_gradients(
    part: Part, tensors: Sequence[Tensor], gradients: Sequence[Tensor], of_result: Tensor
) -> None:
    """Adds a part's gradients to those of all that it reads, given the gradient of its stage's result."""
    read = [t[index].detach().requires_grad_() for t, index in zip(tensors, part.reads, strict=False)]
    with torch.enable_grad():
        value = part.compute(*read)
    own = torch.autograd.grad(value, read, of_result[part.writes])
    for total, index, gradient in zip(gradients, part.reads, own, strict=False):
        total[index] += gradient
