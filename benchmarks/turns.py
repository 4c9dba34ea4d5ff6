"""Times the steps of a fit and of other loops in turns."""

import random
import time
from collections.abc import Callable, Iterator, Mapping

from fusionseg.sample import Sample

FIT = "Trainer.fit"


class Turns:
    """The loader of a fit that takes turns with other loops, and the time of a step in each turn.

    It runs the other loops between two of its batches, so that a single fit is timed in short segments. The time
    between handing out a batch and being asked for the next is all that the trainer does for a step. The first round
    goes unmeasured.

    Args:
        batch: What each step sees.
        loops: The steps of the other loops, by name.
        steps: Steps of a turn.
        rounds: Number of measured rounds.
        clock: What tells the time, in seconds.
    """

    def __init__(
        self,
        batch: Sample,
        loops: Mapping[str, Callable[[], object]],
        steps: int,
        rounds: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.batch, self.loops, self.steps, self.rounds, self.clock = batch, loops, steps, rounds, clock
        self.seconds: dict[str, list[float]] = {name: [] for name in (FIT, *loops)}

    def __len__(self) -> int:
        return (self.rounds + 1) * self.steps + 1

    def __iter__(self) -> Iterator[Sample]:
        order, chance = list(self.seconds), random.Random(0)
        for number in range(self.rounds + 1):
            chance.shuffle(order)
            for name in order:
                start = self.clock()
                for _ in range(self.steps):
                    if name == FIT:
                        yield self.batch
                    else:
                        self.loops[name]()
                if number:
                    self.seconds[name].append((self.clock() - start) / self.steps)
        # asked for when the last step is done, which is what a fit's last turn waits for
        yield self.batch
