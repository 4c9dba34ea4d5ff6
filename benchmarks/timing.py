"""Times variants of a computation side by side, as ratios that a busy machine does not distort."""

import argparse
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import NamedTuple

from rich.console import Console
from rich.table import Table


class Quartiles(NamedTuple):
    """The quartiles of a sample."""

    lower: float
    median: float
    upper: float


class Target(NamedTuple):
    """A bound for a median ratio.

    >>> str(Target(1.05)), Target(1.05).met(1.0), Target(50, at_least=True).met(40)
    ('<= 1.05', True, False)

    Args:
        bound: The bound.
        at_least: Whether it is a lower bound; otherwise it is an upper one.
    """

    bound: float
    at_least: bool = False

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g}"

    def met(self, ratio: float) -> bool:
        """Whether a ratio is within the bound."""
        return ratio >= self.bound if self.at_least else ratio <= self.bound


def quartiles(sample: Sequence[float]) -> Quartiles:
    """The quartiles of a sample of at least 2 values, with linear interpolation.

    >>> quartiles([1, 2, 3, 4, 5])
    Quartiles(lower=2.0, median=3.0, upper=4.0)
    """
    return Quartiles(*statistics.quantiles(sample, n=4, method="inclusive"))


def seconds(call: Callable[[], object], clock: Callable[[], float] = perf_counter) -> float:
    """The duration of one call, in seconds of a clock."""
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

    Each round runs every variant once, in random order, and yields one ratio per variant, so that whatever
    slows the machine temporarily affects both sides of a ratio. One round of warm-up is not measured. A ratio
    below 1 means faster than the baseline.

    Args:
        variants: What to time, by name; a call on an accelerator must synchronize with it.
        baseline: The name of the variant that the others are divided by.
        rounds: Number of measured rounds, at least 2.
        clock: Returns the time in seconds.

    Raises:
        ValueError: If the baseline is not among the variants, or there are fewer than 2 rounds.
    """
    if baseline not in variants:
        raise ValueError(f"expected one of {list(variants)} as the baseline, found {baseline!r}")
    if rounds < 2:
        raise ValueError(f"quartiles need at least 2 rounds, found {rounds}")
    order = list(variants)
    generator = random.Random(0)
    for call in variants.values():
        call()
    samples: dict[str, list[float]] = {name: [] for name in order}
    for _ in range(rounds):
        generator.shuffle(order)
        times = {name: seconds(variants[name], clock) for name in order}
        for name, sample in samples.items():
            sample.append(times[name] / times[baseline])
    return {name: quartiles(sample) for name, sample in samples.items()}


def show(title: str, measured: Mapping[str, Quartiles], targets: Mapping[str, Target]) -> None:
    """Prints ratios as a table, with the targets of those that have one."""
    table = Table("variant", title=title)
    for column in ("median", "quartiles", "target", "met"):
        table.add_column(column, justify="right")
    for name, (lower, median, upper) in measured.items():
        target = targets.get(name)
        met = ""
        if target is not None:
            met = "yes" if target.met(median) else "no"
        table.add_row(name, f"{median:.4g}", f"{lower:.4g} - {upper:.4g}", str(target or ""), met)
    Console().print(table)


def command_line(description: str | None) -> argparse.ArgumentParser:
    """A parser whose help shows the docstring of a benchmark as it is written."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
