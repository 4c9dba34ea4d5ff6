"""Balancers from torchjd."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fusionseg.balancing.checks import check_weights
from fusionseg.balancing.gradient import GradientBalancer

if TYPE_CHECKING:  # importing torchjd takes time that commands without it should not pay
    from torchjd.aggregation import Weighting


class TorchJDWeighting(GradientBalancer):
    """Any weighting of torchjd that takes a Gramian, such as `torchjd.aggregation.FairGradWeighting`.

    It synchronizes with the device in every step, to leave out inactive tasks.

    Args:
        tasks: Number of tasks.
        weighting: Recipe of the weighting, which must not have a state.
        shared: The arguments of `GradientBalancer`.

    Raises:
        ValueError: If the weighting needs a package that is not installed, does not take a Gramian, has a
            state, or gives weights that are not finite.
    """

    def __init__(self, tasks: int, weighting: "Callable[[], Weighting[Tensor]]", **shared: Any) -> None:
        super().__init__(tasks, **shared)
        try:
            self.weighting = weighting()
        except ImportError as error:  # some need a solver that is not installed
            raise ValueError(" ".join(str(error).split())) from error
        check_weighting(self.weighting)
        check_weights(self)

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The weighting of the active tasks alone (T,); NaN if the Gramian is not finite.

        Raises:
            ValueError: If the weighting does not give each active task a finite weight.
        """
        if not gramian.isfinite().all():
            # a GradScaler skips the step only if it sees NaN
            return torch.full_like(gramian[0], torch.nan)
        chosen = active.nonzero()[:, 0]
        if len(chosen) < 2:
            return active.double()
        weights = self._weights(gramian[chosen][:, chosen])
        return active.double().scatter(0, chosen, weights)

    def _weights(self, gramian: Tensor) -> Tensor:
        """The weights (T,) that torchjd gives for a finite Gramian (T, T)."""
        weights: Tensor = self.weighting(gramian)
        if weights.shape != gramian.shape[:1] or not weights.isfinite().all():
            raise ValueError(
                f"{type(self.weighting).__name__}: expected {len(gramian)} finite weights for the Gramian "
                f"{gramian.tolist()}, found {weights.tolist()}: choose another balancer"
            )
        return weights.double()


def check_weighting(weighting: object) -> None:
    """Checks that an object is a weighting of torchjd that takes a Gramian and has no state.

    Raises:
        ValueError: If it is anything else.
    """
    name = type(weighting).__name__
    aggregation = importlib.import_module("torchjd.aggregation")
    takes_gramian = "PSDMatrix" in _type_arguments(type(weighting))
    if not isinstance(weighting, aggregation.Weighting) or not takes_gramian:
        raise ValueError(
            "expected a weighting of torchjd that takes a Gramian (such as "
            f"torchjd.aggregation.FairGradWeighting), found {name}, which takes something else"
        )
    if isinstance(weighting, importlib.import_module("torchjd").Stateful):
        raise ValueError(f"{name} remembers what a checkpoint would not hold: choose one without a state")


def _type_arguments(kind: type) -> set[str]:
    """Names of the type arguments of a class's generic bases: {"PSDMatrix"} for `Weighting[PSDMatrix]`."""
    names = set()
    for base in kind.__mro__:
        for generic in getattr(base, "__orig_bases__", ()):
            names |= {getattr(argument, "__name__", "") for argument in getattr(generic, "__args__", ())}
    return names
