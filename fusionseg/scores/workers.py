"""Scores images in several processes, with a progress bar."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import cv2
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fusionseg.config.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def mapped(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int | None = None, title: str = "scoring"
) -> list[Result]:
    """The results of a function for each item, in their order.

    Args:
        function: A function of a module, which processes can import.
        items: What it is called with.
        jobs: Number of processes; by default one for each core. With one nothing is started.
        title: What the progress bar says.

    Raises:
        UserError: If there is less than one process, or one was killed.
    """
    columns = (
        TextColumn(title),
        BarColumn(24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with (
        Workers(function, len(items), jobs) as workers,
        Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar,
    ):
        row = bar.add_task(title, total=len(items))
        return workers.results(function, items, lambda: bar.advance(row))


class Workers:
    """Several processes, to compute with as often as one likes within a `with` block.

    Args:
        function: What is computed, a function of a module, which processes can import.
        most: The largest number of items that there will be at a time.
        jobs: Number of processes; by default one for each core. With one nothing is started.

    Raises:
        UserError: If there is less than one process.
    """

    def __init__(self, function: Callable[..., object], most: int, jobs: int | None = None) -> None:
        if jobs is not None and jobs < 1:
            raise UserError(f"expected at least 1 process, found --jobs {jobs}")
        self.count = min(jobs or cores(), most)
        self.module = getattr(function, "func", function).__module__
        self.pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Workers":
        if self.count > 1:
            self.pool = pool_of(self.count, self.module)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.pool is None:
            return
        self.pool.shutdown(wait=kind is None, cancel_futures=True)
        if kind is not None:  # not waiting for what they are at
            for process in multiprocessing.active_children():
                process.terminate()

    def results(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        done: Callable[[], object] = lambda: None,
    ) -> list[Result]:
        """The results of a function for each item, in their order.

        Args:
            function: A function of the module, or a `functools.partial` of one.
            items: What it is called with.
            done: Called after each item.

        Raises:
            UserError: If a process was killed.
        """
        if self.pool is None:
            results = []
            for item in items:
                results.append(function(item))
                done()
            return results
        try:
            futures = [self.pool.submit(function, item) for item in items]
            for future in as_completed(futures):
                future.result()
                done()
        except BrokenProcessPool as error:
            raise UserError(
                "a process was killed, for example because memory ran out: use fewer of them (--jobs)"
            ) from error
        return [future.result() for future in futures]


def pool_of(count: int, module: str) -> ProcessPoolExecutor:
    """So many processes, which are forked from one that has imported a module where that is possible."""
    context = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
    if sys.platform != "win32":
        context.set_forkserver_preload([module])
    return ProcessPoolExecutor(count, context, _prepare)


def _prepare() -> None:
    """Leaves the other cores to the other workers, and ends with the process that started this one.

    Ctrl-C in a terminal reaches all processes; what is to end is said by that one.
    """
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Waits for the end of the parent process, which may be killed without a word."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
