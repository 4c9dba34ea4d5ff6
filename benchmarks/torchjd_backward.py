"""The backward pass of training with torchjd."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchjd.aggregation import MGDA
from torchjd.autojac import backward, jac_to_grad, mtl_backward

from fusionseg.engine.task_gradients import reached
from fusionseg.module import FusionModule


class TorchJDBackward:
    """A backward pass with torchjd: MGDA aggregates the Jacobians of the losses of the tasks.

    Args:
        module: A model whose balancer is the plain sum.
        features: Compute Jacobians of shared parameters only (`mtl_backward`), instead of all (`backward`).
        chunk: Number of losses that are differentiated at once (`parallel_chunk_size`); by default all.
        gramian: Add up the Gramians of parameters instead of concatenating their Jacobians
            (`optimize_gramian_computation`).
    """

    def __init__(self, module: FusionModule, features: bool, chunk: int | None, gramian: bool) -> None:
        self.module = module
        self.features = features
        self.chunk = chunk
        self.gramian = gramian
        self.taps: list[Tensor] = []
        """The shared maps of the last forward pass."""
        self.read: list[int] = []
        """The indices of the shared maps that the tasks use."""
        self.shared: list[Tensor] = []
        """The parameters that all tasks use."""
        self.own: list[list[Tensor]] = []
        """The parameters that only one task uses, by task."""
        branch = module.network.branch
        assert branch is not None
        branch.register_forward_pre_hook(self._tapped)

    def __call__(self, _: Tensor) -> None:
        """Computes the gradients of all parameters, in place of the `backward` of a loss."""
        parts = self.module.current_step.task_losses()
        if not self.shared:
            self._sort(parts)
        if self.features:
            mtl_backward(
                parts,
                features=[self.taps[i] for i in self.read],
                tasks_params=self.own,
                shared_params=self.shared,
                parallel_chunk_size=self.chunk,
            )
            wanted = self.shared
        else:
            wanted = self.shared + [p for own in self.own for p in own]
            backward(parts, inputs=wanted, parallel_chunk_size=self.chunk)
        jac_to_grad(wanted, MGDA(), optimize_gramian_computation=self.gramian)
        for parameter in wanted:
            # the fused optimizer assumes that a gradient has the memory layout of its weight, channels-last
            if parameter.grad is not None and parameter.grad.stride() != parameter.stride():
                parameter.grad = torch.empty_like(parameter).copy_(parameter.grad)
        self.taps = []

    def _tapped(self, _: Any, args: tuple[list[Tensor], Sequence[str]]) -> tuple[list[Tensor], Sequence[str]]:
        # the next stage of the encoder reads a map too, which torchjd does not support: views are only read
        # here
        seen = [m.view_as(m) for m in args[0]]
        self.taps = [m for m in seen if m.requires_grad]
        return seen, args[1]

    def _sort(self, parts: Sequence[Tensor]) -> None:
        """Sorts the parameters once, so that torchjd need not search the graph for them in every step."""
        every = [reached(part) for part in parts]
        common = set(every[0]).intersection(*every[1:])
        self.shared = [p for p in every[0] if p in common]
        self.own = [[p for p in own if p not in common] for own in every]
        slopes = torch.autograd.grad(
            torch.stack(list(parts)).sum(), self.taps, retain_graph=True, allow_unused=True
        )
        self.read = [i for i, slope in enumerate(slopes) if slope is not None]
