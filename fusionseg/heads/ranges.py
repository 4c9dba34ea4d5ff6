"""Where parameters of a decoding are looked for when it is tuned."""

from typing import NamedTuple


class Range(NamedTuple):
    """Where the best value of a parameter of the decoding is looked for; a whole number where the ends are.

    Args:
        low: The lower end.
        high: The upper end, which is tried too.
        log: Whether the logarithm is drawn evenly.
        step: The distance of the values from the lower end on; None for all numbers between.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


MIN_AREA = Range(1, 4096, log=True)
"""For the smallest area of a region, in pixels of the label file."""

PROBABILITY = Range(0.02, 0.98)
"""For the threshold of a probability."""
