"""The maps that tasks share, watched in one pass through a network."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from fusionseg.balancing.branch import Branch, gramian
from fusionseg.engine.distributed import reduced
from fusionseg.networks import Network

Pairs: TypeAlias = list[tuple[int, int]]
"""Pairs of tasks, by their positions."""


class SharedMaps:
    """The places of a forward pass at which gradients of tasks can be compared.

    The place "" is the branching point, where the derivative is that of what lies behind it alone, as balancers see it.
    The place `_stageN` is the N-th output of the encoder with all that lies behind it (the total derivative), the
    deeper stages too; of several encoders' pyramids in one list the N-th outputs are one place. A compiled encoder
    cannot be looked into.

    Args:
        network: What is watched from now on, until `close`.
    """

    def __init__(self, network: Network) -> None:
        self.branch = network.branch
        self.maps: dict[str, list[Tensor]] = {}
        """The maps of each place, in the order in which the pass came along."""
        self.hooks = (
            [] if compiled(network.encoder) else [network.encoder.register_forward_hook(self._encoded)]
        )
        if self.branch is not None:
            self.hooks.append(self.branch.register_forward_pre_hook(self._branching))

    def gramians(self, losses: Sequence[Tensor], scale: Tensor) -> tuple[dict[str, Pairs], Tensor]:
        """The pairs of tasks that share maps at each place, and the inner products of their gradients, up to a factor.

        Places come from the branching point back to the first stage; the products (places, T, T) are those over all
        ranks.

        Args:
            losses: This rank's share of each task's loss.
            scale: By what to multiply them, so that gradients in half precision do not underflow.
        """
        dtype = torch.promote_types(scale.dtype, torch.float32)
        slots = [(place, m) for place in reversed(self.maps) for m in self.maps[place]]
        pairs: dict[str, Pairs] = {}
        products = [scale.new_zeros(0, len(losses), len(losses), dtype=dtype)]
        if slots:
            wanted = [m for _, m in slots]
            with _unbalanced(self.branch):
                rows = [
                    torch.autograd.grad(
                        loss, wanted, scale.to(loss.dtype), retain_graph=True, allow_unused=True
                    )
                    for loss in losses
                ]
            for place in reversed(self.maps):
                own = [[g for g, (slot, _) in zip(row, slots, strict=True) if slot == place] for row in rows]
                if shared := _sharing(own):
                    pairs[place] = shared
                    products.append(gramian(own, dtype)[None])
        return pairs, reduced(torch.cat(products))

    def close(self) -> None:
        """Stops to watch, and lets go of the maps."""
        for hook in self.hooks:
            hook.remove()
        self.hooks, self.maps = [], {}

    def _encoded(self, encoder: nn.Module, _: Any, output: Any) -> None:
        every = list(tensors(output))
        levels = len(getattr(encoder, "out_channels", every))
        for i, m in enumerate(every):
            if m.requires_grad:
                self.maps.setdefault(f"_stage{i % levels}", []).append(m)

    def _branching(self, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        # views, because what follows a map within the encoder is part of its own derivative
        maps, *rest = inputs
        views = [m.view_as(m) if m.requires_grad else m for m in maps]
        self.maps.setdefault("", []).extend(m for m in views if m.requires_grad)
        return views, *rest


def compiled(part: nn.Module) -> bool:
    """Whether a part is compiled by its own, so that hooks see what a compiler made of it."""
    return getattr(part, "_compiled_call_impl", None) is not None


def tensors(nested: Any) -> Iterator[Tensor]:
    """The tensors in lists, tuples and dictionaries, one after another."""
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, Mapping | list | tuple):
        for inner in nested.values() if isinstance(nested, Mapping) else nested:
            yield from tensors(inner)


def _sharing(rows: Sequence[Sequence[Tensor | None]]) -> Pairs:
    """The pairs of tasks with gradients of one map at least: others can be in nobody's way."""
    return [
        (i, j)
        for i, j in combinations(range(len(rows)), 2)
        if any(p is not None and q is not None for p, q in zip(rows[i], rows[j], strict=True))
    ]


@contextmanager
def _unbalanced(branch: Branch | None) -> Iterator[None]:
    """Has backward passes go through a branching point without the balancer taking notice."""
    if branch is None:
        yield
        return
    balance, branch.balance = branch.balance, None
    try:
        yield
    finally:
        branch.balance = balance
