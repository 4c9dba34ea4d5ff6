"""The thresholds of a soft map."""

from collections.abc import Mapping

import numpy as np

from fusionseg.config.errors import UserError
from fusionseg.metrics.boundary_curve import even_thresholds
from fusionseg.metrics.contingency import Floats


def thresholds_of(given: int | list[float]) -> Floats:
    """A number of even thresholds between 0 and 1, or the given ones.

    >>> thresholds_of(3).tolist()
    [0.25, 0.5, 0.75]

    Raises:
        UserError: If there are none, or they do not ascend within [0, 1].
    """
    if isinstance(given, int):
        return even_thresholds(given)
    values = np.array(given, float)
    if not values.size or not (np.diff(values) > 0).all() or not 0 <= values[0] <= values[-1] <= 1:
        raise UserError(f"expected thresholds in ascending order within [0, 1], found {given}")
    return values


def shared_thresholds(thresholds: Mapping[str, Floats]) -> Floats:
    """The thresholds of all images, by the images' names.

    Raises:
        UserError: If one has another number of partitions.
    """
    (first, common), *others = thresholds.items()
    for name, own in others:
        if not np.array_equal(own, common):
            raise UserError(
                f"expected soft maps, or the same number of partitions, in every file, found "
                f"{_several(common)} of {first} and {_several(own)} of {name}"
            )
    return common


def _several(thresholds: Floats) -> str:
    """What has these thresholds: partitions are numbered, and soft maps are cut within [0, 1]."""
    return f"{len(thresholds)} partitions" if thresholds[0] == 1 else "a soft map"
