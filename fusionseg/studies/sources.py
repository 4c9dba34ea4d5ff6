"""Where the runs of a study come from: a list that is known before, or a search that goes on drawing."""

from collections.abc import Sequence
from typing import Protocol

from fusionseg.files.atomic import Json
from fusionseg.studies.plan import PlannedRun


class Source(Protocol):
    """Gives a driver its runs, and is told how each of them ends."""

    @property
    def total(self) -> int:
        """Runs that it gives in all, as far as is known."""
        ...

    def take(self) -> Sequence[PlannedRun]:
        """Further runs, called while the driver has room for one; none where there are none to come."""
        ...

    def wants(self, run: PlannedRun) -> bool:
        """Whether a run that was given is still to be computed; if not, it is pruned."""
        ...

    def ended(self, run: PlannedRun, measured: Json | None, reason: str = "") -> None:
        """Called when a run has figures, or failed for good, with the end of its log."""
        ...


class FixedRuns:
    """Runs that are all known before.

    Args:
        runs: The runs.
    """

    def __init__(self, runs: Sequence[PlannedRun]) -> None:
        self.total = len(runs)
        self._left = list(runs)

    def take(self) -> Sequence[PlannedRun]:
        """All of them, at once."""
        runs = self._left
        self._left = []
        return runs

    def wants(self, run: PlannedRun) -> bool:
        """True: none is pruned."""
        return True

    def ended(self, run: PlannedRun, measured: Json | None, reason: str = "") -> None:
        """Does nothing."""
