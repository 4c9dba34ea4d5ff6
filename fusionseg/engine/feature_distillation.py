"""The maps that the tasks of a network and of its teacher share, and how far they lie apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fusionseg.config.errors import UsageError
from fusionseg.losses.enlarging import scaled
from fusionseg.networks import Network
from fusionseg.networks.adapter import Adapter


class SharedMaps:
    """The maps that two networks branch at, of the last forward pass of each.

    Args:
        network: The network that learns; each of its forward passes with gradients is watched from now on.
        taught: Its teacher, which is watched within `of`.
        alone: Whether nothing behind the teacher's map is wanted: its forward passes end there.

    Raises:
        UsageError: If one of them has no shared map.
    """

    def __init__(self, network: Network, taught: Network, alone: bool) -> None:
        self.alone = alone
        self._kept: dict[str, Tensor] = {}
        self._watch(network, "student")
        with torch.enable_grad():
            _probe(network)
        with self.of(taught), torch.no_grad():
            _probe(taught)
        self.adapter = Adapter(*(self._kept.pop(name).shape[1] for name in ("student", "teacher")))
        """From the network's map to its teacher's."""

    @contextmanager
    def of(self, taught: Network) -> Iterator[None]:
        """A context in which the teacher's map is kept; its forward pass leaves it there if `alone`."""
        handle = self._watch(taught, "teacher")
        try:
            yield
        except _Reached:
            pass
        finally:
            handle.remove()

    def distance(self) -> Tensor:
        """The mean squared difference of the last step's maps, a scalar, at the size of the network's."""
        adapted = self.adapter(self._kept.pop("student"))
        theirs = self._kept.pop("teacher")
        wide = torch.promote_types(adapted.dtype, torch.float32)
        return F.mse_loss(adapted.to(wide), scaled(theirs.to(wide), adapted.shape[-2:]))

    def _watch(self, network: Network, name: str) -> RemovableHandle:
        """Has the map of each forward pass of the student or the teacher kept.

        Raises:
            UsageError: If there is none.
        """
        if network.branch is None:
            raise UsageError(
                f"the tasks' paths meet behind every cut in {type(network).__name__}, so that the {name} has "
                "no shared map: set it to 0",
                "model.teacher.features",
            )
        # a method and no closure, so that a copy of the student keeps its own
        return network.branch.register_forward_pre_hook(partial(self._keep, name))

    def _keep(self, name: str, _: nn.Module, args: tuple[Any, ...]) -> None:
        """Keeps the map that a branching point is called with."""
        if name == "teacher":
            self._kept[name] = args[0][-1]
            if self.alone:
                raise _Reached
        elif torch.is_grad_enabled():  # not in validation
            self._kept[name] = args[0][-1]


class _Reached(Exception):  # noqa: N818 (no error)
    """Ends a teacher's forward pass at its shared map."""


def _probe(network: Network) -> None:
    """Has a network answer an empty image, and change nothing."""
    encoder: Any = network.encoder
    training = network.training
    try:
        with torch.compiler.set_stance("force_eager"):
            network.eval()(encoder.mean.new_zeros(1, encoder.mean.shape[1], *encoder.size))
    finally:
        network.train(training)
