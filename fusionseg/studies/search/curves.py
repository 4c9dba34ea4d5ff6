"""The objective of a run epoch by epoch, read from its `metrics.csv` while it trains."""

import csv
from contextlib import suppress
from pathlib import Path


class Curve:
    """A figure of a run by epochs, as far as the run is.

    Args:
        path: The run's `metrics.csv`, which need not exist.
        metric: The figure, such as `val/miou`.
    """

    def __init__(self, path: Path, metric: str) -> None:
        self.path = path
        self.metric = metric
        self.values: dict[int, float] = {}
        self._seen = (0, 0)

    def grew(self) -> bool:
        """Reads the file if it changed; returns whether the figure has other values than before."""
        try:
            state = self.path.stat()
        except OSError:
            return False
        if (state.st_mtime_ns, state.st_size) == self._seen:
            return False
        self._seen = (state.st_mtime_ns, state.st_size)
        text = self.path.read_text(encoding="utf-8", errors="replace")
        whole = text[: text.rfind("\n") + 1]  # the last line may be half written
        values: dict[int, float] = {}
        for row in csv.DictReader(whole.splitlines()):
            if row.get(self.metric):
                with suppress(KeyError, TypeError, ValueError):
                    values[int(row["epoch"])] = float(row[self.metric])
        grown = values != self.values
        self.values = values
        return grown


def mean_curve(curves: list[dict[int, float]]) -> dict[int, float]:
    """The mean of several seeds by epochs, each of those that have come to it.

    >>> mean_curve([{0: 0.25, 1: 0.5}, {0: 0.75}])
    {0: 0.5, 1: 0.5}
    """
    epochs = sorted({epoch for curve in curves for epoch in curve})
    reached = {epoch: [curve[epoch] for curve in curves if epoch in curve] for epoch in epochs}
    return {epoch: sum(values) / len(values) for epoch, values in reached.items()}
