"""Means that stay on the device until somebody reads them."""

from torch import Tensor

from fusionseg.ranks import reduced, world_size


class RunningMean:
    """The mean of vectors since it was last read, over all ranks."""

    def __init__(self) -> None:
        self.total: Tensor | None = None
        self.count = 0

    def add(self, values: Tensor) -> None:
        """Adds a vector, without waiting for the device."""
        self.total = values if self.total is None else self.total + values
        self.count += 1

    def read(self) -> list[float]:
        """The mean, after which counting starts again; all ranks must read together."""
        assert self.total is not None, "nothing was added"
        mean = reduced(self.total) / (self.count * world_size())
        self.total, self.count = None, 0
        return mean.tolist()
