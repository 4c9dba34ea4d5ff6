"""Times the steps of a fit and of other loops in turns."""

import random
import time
from collections.abc import Callable, Iterator, Mapping

from fusionseg.sample import Sample

FIT = "Trainer.fit"
"""The name of the fit among the loops."""


class Turns:
    """A data loader whose fit takes turns with other loops, and the duration of a step in each turn.

    The other loops run between two batches, so that a single fit is timed in short segments. The time between
    yielding a batch and the request for the next one is all that the trainer does for a step. The first round
    is a warm-up.

    Args:
        batch: The batch of every step.
        loops: One step of each other loop, by name.
        steps: Number of steps per turn.
        rounds: Number of measured rounds.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        batch: Sample,
        loops: Mapping[str, Callable[[], object]],
        steps: int,
        rounds: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.batch = batch
        self.loops = loops
        self.steps = steps
        self.rounds = rounds
        self.clock = clock
        self.seconds: dict[str, list[float]] = {name: [] for name in (FIT, *loops)}
        """The seconds per step of each measured turn, by the name of the loop."""

    def __len__(self) -> int:
        return (self.rounds + 1) * self.steps + 1

    def __iter__(self) -> Iterator[Sample]:
        order = list(self.seconds)
        generator = random.Random(0)
        for number in range(self.rounds + 1):
            generator.shuffle(order)
            for name in order:
                start = self.clock()
                for _ in range(self.steps):
                    if name == FIT:
                        yield self.batch
                    else:
                        self.loops[name]()
                if number:
                    self.seconds[name].append((self.clock() - start) / self.steps)
        # one more, whose request ends the last turn of the fit
        yield self.batch
