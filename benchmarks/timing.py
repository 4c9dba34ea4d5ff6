"""Variants of a computation timed side by side, as ratios: what a busy machine cannot distort."""

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import NamedTuple

from rich.console import Console
from rich.table import Table


class Quartiles(NamedTuple):
    """The quarter, half and three-quarter points of a sample."""

    lower: float
    median: float
    upper: float


class Target(NamedTuple):
    """A bound that a median ratio should keep.

    Args:
        bound: The ratio in question.
        at_least: Whether larger is better; otherwise smaller is.
    """

    bound: float
    at_least: bool = False

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g}"

    def met(self, ratio: float) -> bool:
        """Whether a ratio keeps the bound."""
        return ratio >= self.bound if self.at_least else ratio <= self.bound


def quartiles(sample: Sequence[float]) -> Quartiles:
    """Where a quarter, half and three quarters of a sample lie below."""
    return Quartiles(*statistics.quantiles(sample, n=4, method="inclusive"))


def seconds(call: Callable[[], object], clock: Callable[[], float] = perf_counter) -> float:
    """The time that one call takes."""
    start = clock()
    call()
    return clock() - start


def ratios(
    variants: Mapping[str, Callable[[], object]],
    baseline: str,
    rounds: int,
    clock: Callable[[], float] = perf_counter,
) -> dict[str, Quartiles]:
    """The time of each variant divided by the baseline's, as quartiles over rounds.

    Every round runs every variant once, in an order shuffled anew, and yields one ratio for each: what slows the
    machine for a while slows both sides of a ratio. One round goes before, unmeasured. A ratio below 1 is faster than
    the baseline, whose own is 1.

    Args:
        variants: What to time, by name; a call on an accelerator must wait for its result.
        baseline: The name of the variant that the others are compared with.
        rounds: Number of measured rounds, at least 2.
        clock: What tells the time, in seconds.
    """
    if baseline not in variants:
        raise ValueError(f"expected one of {list(variants)} as the baseline, found {baseline!r}")
    if rounds < 2:
        raise ValueError(f"quartiles need at least 2 rounds, found {rounds}")
    order, chance = list(variants), random.Random(0)
    for call in variants.values():
        call()
    samples: dict[str, list[float]] = {name: [] for name in order}
    for _ in range(rounds):
        chance.shuffle(order)
        times = {name: seconds(variants[name], clock) for name in order}
        for name, sample in samples.items():
            sample.append(times[name] / times[baseline])
    return {name: quartiles(sample) for name, sample in samples.items()}


def show(title: str, measured: Mapping[str, Quartiles], targets: Mapping[str, Target]) -> None:
    """Print ratios as a table, next to their targets where there are some."""
    table = Table("variant", title=title)
    for column in ("median", "quartiles", "target", "met"):
        table.add_column(column, justify="right")
    for name, (lower, median, upper) in measured.items():
        target = targets.get(name)
        met = "" if target is None else "yes" if target.met(median) else "no"
        table.add_row(name, f"{median:.4g}", f"{lower:.4g} - {upper:.4g}", str(target or ""), met)
    Console().print(table)
