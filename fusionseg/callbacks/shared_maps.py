"""Records the feature maps that tasks share, and compares the tasks' gradients with respect to them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fusionseg.balancing.branch import Branch, gramian
from fusionseg.engine.distributed import reduced
from fusionseg.networks import Network

Pairs: TypeAlias = list[tuple[int, int]]
"""Pairs of tasks, by their indices."""


class SharedMaps:
    """Records the shared maps of a network's forward passes, at the places where gradients can be compared.

    The place `""` is the branching point: gradients are those of the layers behind it, as balancers see them.
    The place `_stageN` is the N-th output of the encoder, with the total derivative, which includes the paths
    through deeper stages. If the encoder returns the pyramids of several encoders in one list, their N-th
    outputs are one place. Maps of a compiled encoder cannot be recorded.

    Args:
        network: The network, whose forward passes are recorded until `close`.
    """

    def __init__(self, network: Network) -> None:
        self.branch = network.branch
        self.maps: dict[str, list[Tensor]] = {}
        """The maps of each place, in the order of the forward pass."""
        self.hooks: list[RemovableHandle] = []
        if not compiled(network.encoder):
            self.hooks.append(network.encoder.register_forward_hook(self._record_stages))
        if self.branch is not None:
            self.hooks.append(self.branch.register_forward_pre_hook(self._record_branch))

    def gramians(self, losses: Sequence[Tensor], scale: Tensor) -> tuple[dict[str, Pairs], Tensor]:
        """The pairs of tasks that share maps at each place, and the inner products of their gradients.

        Args:
            losses: This rank's part of the loss of each of T tasks, scalars.
            scale: A scalar that multiplies the losses, so that gradients in half precision do not underflow.

        Returns:
            The pairs by place, from the branching point back to the first stage, and the Gramians of these
            places (places, T, T), multiplied by the squared scale and summed over all ranks.
        """
        dtype = torch.promote_types(scale.dtype, torch.float32)
        places = list(reversed(self.maps))
        maps = [m for place in places for m in self.maps[place]]
        pairs: dict[str, Pairs] = {}
        products = [scale.new_zeros(0, len(losses), len(losses), dtype=dtype)]
        if maps:
            with _unbalanced(self.branch):
                gradients = [_gradients(loss, maps, scale) for loss in losses]
            start = 0
            for place in places:
                end = start + len(self.maps[place])
                at_place = [of_task[start:end] for of_task in gradients]
                shared = _sharing(at_place)
                if shared:
                    pairs[place] = shared
                    products.append(gramian(at_place, dtype)[None])
                start = end
        return pairs, reduced(torch.cat(products))

    def close(self) -> None:
        """Removes the hooks and releases the maps."""
        for hook in self.hooks:
            hook.remove()
        self.hooks = []
        self.maps = {}

    def _record_stages(self, encoder: nn.Module, _: object, output: object) -> None:
        """Forward hook of the encoder."""
        maps = list(tensors(output))
        levels = len(getattr(encoder, "out_channels", maps))
        for i, m in enumerate(maps):
            if m.requires_grad:
                self.maps.setdefault(f"_stage{i % levels}", []).append(m)

    def _record_branch(self, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Forward pre-hook of the branching point, which replaces the maps by views of them."""
        # the gradient of a map itself would include the paths through later stages of the encoder
        maps, *rest = inputs
        views = [m.view_as(m) if m.requires_grad else m for m in maps]
        self.maps.setdefault("", []).extend(m for m in views if m.requires_grad)
        return views, *rest


def compiled(part: nn.Module) -> bool:
    """Whether a module was compiled by itself, so that hooks would be compiled too."""
    return getattr(part, "_compiled_call_impl", None) is not None


def tensors(nested: object) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples and mappings, depth first.

    >>> [t.item() for t in tensors([torch.tensor(1), {"a": (torch.tensor(2), None)}])]
    [1, 2]
    """
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, Mapping):
        yield from tensors(list(nested.values()))
    elif isinstance(nested, list | tuple):
        for inner in nested:
            yield from tensors(inner)


def _gradients(loss: Tensor, maps: Sequence[Tensor], scale: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients of a loss with respect to maps, times a scale; `None` for maps that it does not use."""
    return torch.autograd.grad(loss, maps, scale.to(loss.dtype), retain_graph=True, allow_unused=True)


def _sharing(gradients: Sequence[Sequence[Tensor | None]]) -> Pairs:
    """The pairs of tasks that both have a gradient of at least one common map; only these can conflict.

    Args:
        gradients: For each task its gradients with respect to the same maps.
    """
    pairs = []
    for i, j in combinations(range(len(gradients)), 2):
        both = (p is not None and q is not None for p, q in zip(gradients[i], gradients[j], strict=True))
        if any(both):
            pairs.append((i, j))
    return pairs


@contextmanager
def _unbalanced(branch: Branch | None) -> Iterator[None]:
    """Within this context backward passes through a branching point do not call the balancer."""
    if branch is None:
        yield
        return
    balance = branch.balance
    branch.balance = None
    try:
        yield
    finally:
        branch.balance = balance
