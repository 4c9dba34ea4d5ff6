"""Sliders for the parameters of a decoding."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fusionseg.engine.decoding import Parameters
from fusionseg.heads import Head


@dataclass(frozen=True)
class Slider:
    """A parameter of a head's decoding, and where it can be moved.

    Args:
        task: The task of the head.
        name: The parameter.
        low: The lower end.
        high: The upper end.
        step: The distance of neighboring values.
        value: The value at the start.
    """

    task: str
    name: str
    low: float
    high: float
    step: float
    value: float

    @property
    def label(self) -> str:
        """What the page calls it."""
        return f"{self.task}: {self.name.replace('_', ' ')}"


def sliders(heads: Mapping[str, Head]) -> list[Slider]:
    """A slider for whatever the heads' decodings can be tuned by.

    The ends are those between which `fusionseg tune` looks, and the present value where it is beyond them.
    Without a step of its own a number moves by the power of ten below a fiftieth of its range.

    Args:
        heads: The head of each task.
    """
    found = []
    for task, head in heads.items():
        for name, bounds in head.tunable.items():
            value = getattr(head, name)
            fine = 10.0 ** math.floor(math.log10((bounds.high - bounds.low) / 50))
            step = bounds.step or (1 if bounds.whole else fine)
            ends = (min(bounds.low, value), max(bounds.high, value))
            found.append(Slider(task, name, *ends, step, value))
    return found


def parameters(sliders: Sequence[Slider], values: Sequence[float]) -> Parameters:
    """The parameters by task and name.

    Args:
        sliders: The sliders.
        values: The value of each; whole numbers may come as floats.
    """
    found: Parameters = {}
    for slider, value in zip(sliders, values, strict=True):
        whole = isinstance(slider.value, int) and isinstance(slider.low, int)
        found.setdefault(slider.task, {})[slider.name] = round(value) if whole else float(value)
    return found
