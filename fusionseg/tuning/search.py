"""The search for better parameters of a model's decodings, on all cores."""

import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fusionseg.engine.decoding import Parameters
from fusionseg.metrics.suite import total
from fusionseg.module import FusionModule
from fusionseg.scores.workers import Workers
from fusionseg.tuning.measuring import measured
from fusionseg.tuning.outputs import KeptOutputs, kept_outputs
from fusionseg.tuning.plan import Plan
from fusionseg.tuning.temperature import Fit, Likelihood, fitted, likelihood_sums
from fusionseg.tuning.trials import Trial, best, trials


@dataclass(frozen=True)
class Found:
    """What a search tried.

    Attributes:
        tried: The trials, in order.
        images: The number of images that they were scored on.
        complete: Whether these are all trials; not after Ctrl-C.
        temperatures: The temperatures of probabilities by task.
    """

    tried: Sequence[Trial]
    images: int
    complete: bool
    temperatures: dict[str, Fit]


def searched(
    model: FusionModule,
    data: Any,
    precision: str,
    plan: Plan,
    first: Sequence[Parameters],
    number: int,
    seed: int,
    jobs: int | None = None,
) -> Found:
    """Runs the network once over the validation images and tunes decodings and temperatures on its outputs.

    Args:
        model: The model.
        data: The data.
        precision: As Lightning's.
        plan: What is tuned.
        first: What is tried first.
        number: How many trials there are, the first ones included; 0 where only temperatures are fitted.
        seed: What the draws depend on.
        jobs: Number of processes that decode; one for each core where left out.

    Raises:
        UserError: If the outputs cannot be kept or nothing can be measured.
        KeyboardInterrupt: After Ctrl-C before the second trial has ended; later that ends the search.
    """
    with tempfile.TemporaryDirectory(prefix="fusionseg-tune-") as folder:
        kept = kept_outputs(model, data, precision, plan, Path(folder))
        taken = f"{kept.size / 1e6:.1f} MB in {folder} until the end"
        print(f"outputs and labels of {kept.images} images take {taken}", file=sys.stderr)
        tried: list[Trial] = []
        with Workers(measured, len(kept.files), jobs) as workers, _shown(number) as show:
            with _interruptible() as interrupted:
                temperatures = _temperatures(workers, kept, plan, interrupted)
            measure = partial(_figures, workers, kept, plan)
            tries = trials(plan.ranges, first, measure, plan.figure, number, seed) if number else ()
            try:
                with _interruptible() as interrupted:
                    for trial in tries:
                        tried.append(trial)
                        leading = best(tried, plan.figure)
                        show(f"val/{plan.figure} {leading.figures[plan.figure]:.4f}", leading is trial)
                        if interrupted():
                            raise KeyboardInterrupt
            except KeyboardInterrupt:
                if len(tried) < 2:
                    raise
    return Found(tried, kept.images, len(tried) == number, temperatures)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Lets Ctrl-C wait for the end of a trial; the second one does not wait.

    Raised anywhere, as in a finalizer or in a lock of the processes' pool, an interrupt may be lost or leave
    the pool waiting forever. Gives a function that says whether there was one.
    """
    asked: list[int] = []

    def note(signum: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(signum)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # which gets no signals
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


def _temperatures(
    workers: Workers, kept: KeptOutputs, plan: Plan, interrupted: Callable[[], bool]
) -> dict[str, Fit]:
    """The temperature of each task whose probabilities get one, and that any image has labels of."""

    def measure(task: str, temperature: float) -> Likelihood:
        each = workers.results(partial(likelihood_sums, task=task, temperature=temperature), kept.files)
        if interrupted():
            raise KeyboardInterrupt
        return Likelihood(*np.sum(each, 0).tolist())

    found = {task: fitted(partial(measure, task)) for task in plan.calibrated}
    return {task: fit for task, fit in found.items() if fit}


def _figures(workers: Workers, kept: KeptOutputs, plan: Plan, parameters: Parameters) -> dict[str, float]:
    """The figures of all images with given parameters."""
    each = workers.results(partial(measured, parameters=parameters), kept.files)
    return plan.figures(kept.fixed | total(each))


@contextmanager
def _shown(number: int) -> Iterator[Callable[[str, bool], None]]:
    """A progress bar with the time left, or a line for each better trial if there is no terminal.

    Gives a function that counts a trial: of the best figure so far, and whether it is of this trial.
    """
    columns = (
        TextColumn("trials"),
        BarColumn(24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[best]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        row = bar.add_task("trials", total=number, best="")

        def show(figure: str, new: bool) -> None:
            bar.update(row, advance=1, best=f"best {figure}")
            if new and not console.is_terminal:
                print(f"trial {bar.tasks[row].completed:.0f}/{number}  {figure}", file=sys.stderr, flush=True)

        yield show
