"""Which arguments of an augmentation are possible."""

import math
from collections.abc import Mapping

SCALE = (0.5, 2.0)
"""The default range of the zoom."""


def check_geometry(scale: tuple[float, float], zooms: list[float] | None, rotation: float) -> None:
    """Raises a ValueError unless zoom and rotation are possible."""
    if zooms is not None and not (zooms and all(0 < zoom < math.inf for zoom in zooms)):
        raise ValueError(f"expected one or more zooms above 0, found {zooms}")
    if zooms is not None and tuple(scale) != SCALE:
        raise ValueError(f"expected scale or zooms, found both ({tuple(scale)} and {zooms}): leave one out")
    if not 0 < scale[0] <= scale[1] < math.inf:
        raise ValueError(f"expected scales 0 < smallest <= largest, found {tuple(scale)}")
    if not 0 <= rotation <= 180:
        raise ValueError(f"expected a rotation in [0, 180] degrees, found {rotation}")


def check_shares(probabilities: Mapping[str, float], cat_max_ratio: float) -> None:
    """Raises a ValueError unless probabilities and the largest share of a class are possible."""
    for name, probability in probabilities.items():
        if not 0 <= probability <= 1:
            raise ValueError(f"expected a probability of {name} in [0, 1], found {probability}")
    if not 0 < cat_max_ratio <= 1:
        raise ValueError(f"expected a cat_max_ratio in (0, 1], found {cat_max_ratio}")


def check_colors(spreads: Mapping[str, float]) -> None:
    """Raises a ValueError unless the spreads of colors are possible."""
    for name, value in spreads.items():
        largest = 0.5 if name == "hue" else 1
        if not 0 <= value <= largest:
            raise ValueError(f"expected {name} in [0, {largest}], found {value}")
