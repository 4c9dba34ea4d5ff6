"""Says which figures are undefined."""

import math
import re
from collections.abc import Mapping, Sequence


def undefined(figures: Mapping[str, float], said: Sequence[str] = ()) -> list[str]:
    """A line that names the figures that are NaN, but those that other lines name already.

    >>> undefined({"pq": 1.0, "pq_stuff": math.nan})
    ['undefined, as there is nothing to count: pq_stuff']
    """
    known = {word for line in said for word in re.findall(r"\w+", line)}
    names = [name for name, value in figures.items() if math.isnan(value) and name not in known]
    return [f"undefined, as there is nothing to count: {', '.join(names)}"] if names else []
