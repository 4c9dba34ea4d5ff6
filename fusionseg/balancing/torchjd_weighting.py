"""Balancers from torchjd."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fusionseg.balancing.checks import check_weights
from fusionseg.balancing.gradient import GradientBalancer

if TYPE_CHECKING:  # or every command would wait for torchjd
    from torchjd.aggregation import Weighting


class TorchJDWeighting(GradientBalancer):
    """Any weighting of torchjd that takes a Gramian, such as `torchjd.aggregation.FairGradWeighting`.

    It waits for the device in every step, to leave out tasks that are not active.

    Args:
        tasks: Number of tasks.
        weighting: Recipe of the weighting, without a state of its own.
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
        """What the weighting says of the active tasks alone."""
        if not gramian.isfinite().all():
            return torch.full_like(gramian[0], torch.nan)  # for a GradScaler to see
        chosen = active.nonzero()[:, 0]
        if len(chosen) < 2:
            return active.double()
        return active.double().scatter(0, chosen, self._answer(gramian[chosen][:, chosen]))

    def _answer(self, gramian: Tensor) -> Tensor:
        found: Tensor = self.weighting(gramian)
        if found.shape != gramian.shape[:1] or not found.isfinite().all():
            raise ValueError(
                f"{type(self.weighting).__name__}: expected {len(gramian)} finite weights for the Gramian "
                f"{gramian.tolist()}, found {found.tolist()}: choose another balancer"
            )
        return found.double()


def check_weighting(weighting: Any) -> None:
    """Raises a ValueError unless torchjd's weighting takes a Gramian and remembers nothing."""
    name = type(weighting).__name__
    jd: Any = importlib.import_module("torchjd.aggregation")
    bases = [base for kind in type(weighting).__mro__ for base in getattr(kind, "__orig_bases__", ())]
    takes = {
        getattr(argument, "__name__", "") for base in bases for argument in getattr(base, "__args__", ())
    }
    if not isinstance(weighting, jd.Weighting) or "PSDMatrix" not in takes:
        raise ValueError(
            f"expected a weighting of torchjd that takes a Gramian (such as torchjd.aggregation.FairGradWeighting), "
            f"found {name}, which takes something else"
        )
    if isinstance(weighting, importlib.import_module("torchjd").Stateful):
        raise ValueError(f"{name} remembers what a checkpoint would not hold: choose one without a state")
