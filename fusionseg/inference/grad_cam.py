"""Gradient-weighted class activation: which places of a map inside the network raise a score."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fusionseg.callbacks.shared_maps import compiled
from fusionseg.config.errors import UserError
from fusionseg.config.type_names import nearest

_ALONE = threading.Lock()
"""Held while nothing compiled is run, which torch decides for all threads at once."""


def grad_cam(score: Tensor, maps: Sequence[Tensor], name: str) -> Tensor:
    """The weighted sum of a map's channels that raises a score: `relu(sum_k a_k A_k)`.

    The weight a_k is the mean over all places of the score's gradient with respect to channel k (Selvaraju et
    al., arXiv:1610.02391, eq. 1 and 2).

    Args:
        score: The score, a scalar; for a set of pixels the sum of their logits (Vinogradova et al.,
            arXiv:2002.11434, eq. 3).
        maps: Maps (1, K, h, w) that it was computed from; the last one that it depends on counts.
        name: How a message names them.

    Returns:
        The sum (1, 1, h, w), float32, 0 or more.

    Raises:
        UserError: If the score depends on none of them.
    """
    gradients: Sequence[Tensor | None] = [None]
    if score.requires_grad and maps:
        gradients = torch.autograd.grad(score, maps, allow_unused=True)
    pairs = [(m, g) for m, g in zip(maps, gradients, strict=False) if g is not None and m.numel()]
    if not pairs:
        raise UserError(f"expected a map that the score depends on, found {name}, which it does not")
    activation, gradient = (tensor.detach().float() for tensor in pairs[-1])
    if activation.ndim != 4:
        raise UserError(f"expected a map (1, K, h, w) of {name}, found {tuple(activation.shape)}")
    weights = gradient.mean((2, 3), keepdim=True)
    return (weights * activation).sum(1, keepdim=True).relu()


@contextmanager
def captured(network: nn.Module, layer: str) -> Iterator[list[Tensor]]:
    """A context in which the maps that a module gives are kept, with their gradients.

    Compiled modules are run without their compilation.

    Args:
        network: The network.
        layer: The name of the module, which gives a map or a list of maps.

    Yields:
        The maps of the calls in this thread, the last call's last, once the network was called.

    Raises:
        UserError: If there is no such module.
    """
    modules = dict(network.named_modules())
    if not layer or layer not in modules:
        raise UserError(
            f"expected the name of a module of the network as layer, found {layer!r}{nearest(layer, modules)}"
        )
    maps: list[Tensor] = []
    with _uncompiled(network):
        handle = modules[layer].register_forward_hook(_keeping(maps))
        try:
            yield maps
        finally:
            handle.remove()


@contextmanager
def _uncompiled(network: nn.Module) -> Iterator[None]:
    """A context in which the compiled modules of a network are run as they are, with their hooks."""
    if not any(map(compiled, network.modules())):
        yield
        return
    with _ALONE, torch.compiler.set_stance("force_eager"):
        yield


def _keeping(maps: list[Tensor]) -> Callable[..., None]:
    """A hook that keeps what a module gives to this thread."""
    thread = threading.get_ident()

    def keep(_: nn.Module, __: object, given: object) -> None:
        if threading.get_ident() != thread:  # another image, which is seen at the same time
            return
        for value in given if isinstance(given, list | tuple) else [given]:
            if isinstance(value, Tensor) and value.is_floating_point():
                # of frozen layers nothing has a gradient yet
                maps.append(value if value.requires_grad else value.requires_grad_())

    return keep
