"""A DataLoader for runs that are resumed within an epoch."""

import os
from typing import Any

from torch.utils.data import DataLoader
from typing_extensions import override

from fusionseg.sample import Sample


class LateLoader(DataLoader[Sample]):
    """A loader whose workers start at the first batch.

    Lightning makes the iterator before it restores the position of a resumed run, so an ordinary loader would
    begin with the wrong samples.
    """

    @override
    def __iter__(self) -> Any:
        yield from super().__iter__()

    def state_dict(self) -> dict[str, object]:
        """Empty, since the position follows from the trainer's step; Lightning requires the method."""
        return {}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Nothing to do."""


def default_workers(ranks: int) -> int:
    """Worker processes of each of the ranks on this machine."""
    return min(8, max(0, len(os.sched_getaffinity(0)) // ranks - 1))
