"""The base of metrics whose states keep their type and are never taken for those of another metric."""

from collections.abc import Callable, Sequence
from itertools import count

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module
from torchmetrics import Metric

from fusionseg.sample import Array

_NUMBERS = count()


class ExactMetric(Metric):
    """A torchmetrics metric that no conversion of a module rounds, and that shares nothing in a collection.

    A `MetricCollection` updates only one of several metrics that have the same states after the first image,
    though with other arguments they have others after the second one.
    """

    is_differentiable = False
    full_state_update = False

    def __init__(self) -> None:
        # not cached, because states also change without torchmetrics' noticing
        super().__init__(compute_with_cache=False)
        # states of other names are not the same
        self.add_state(f"metric_{next(_NUMBERS)}", torch.tensor(0), dist_reduce_fx="max")

    @property
    def update_called(self) -> bool:
        """Always true: the figures of no image are defined (NaN), so none is needed before `compute`."""
        return True

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> Module:
        """Moves the states with the module, but keeps their dtype, since bfloat16 would round them."""
        names = list(self.metric_state)
        super()._apply(fn, exclude_state=names)
        for name in names:
            state = getattr(self, name)
            several = isinstance(state, list)
            setattr(self, name, [s.to(self.device) for s in state] if several else state.to(self.device))
        return self


def as_array(values: Array | Tensor) -> Array:
    """An array, also of a tensor on any device; numpy has no bfloat16."""
    if not isinstance(values, Tensor):
        return np.asarray(values)
    exact = values.float() if values.dtype == torch.bfloat16 else values
    array: Array = exact.detach().cpu().numpy()
    return array
