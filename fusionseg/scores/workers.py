"""Scores images in several processes, with a progress bar."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
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
    if jobs is not None and jobs < 1:
        raise UserError(f"expected at least 1 process, found --jobs {jobs}")
    count = min(jobs or cores(), len(items))
    columns = (
        TextColumn(title),
        BarColumn(24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        row = bar.add_task(title, total=len(items))
        if count > 1:
            return _shared(function, items, count, lambda: bar.advance(row))
        results = []
        for item in items:
            results.append(function(item))
            bar.advance(row)
        return results


def _shared(
    function: Callable[[Item], Result], items: Sequence[Item], count: int, done: Callable[[], None]
) -> list[Result]:
    """The results of several processes."""
    with pool_of(count, getattr(function, "func", function).__module__) as pool:
        futures: list[Future[Result]] = []
        try:
            futures += [pool.submit(function, item) for item in items]
            for future in as_completed(futures):
                future.result()
                done()
        except BrokenProcessPool as error:
            raise UserError(
                "a process was killed, for example because memory ran out: use fewer of them (--jobs)"
            ) from error
        except BaseException:
            _abandon(pool, futures)
            raise
        return [future.result() for future in futures]


def pool_of(count: int, module: str) -> ProcessPoolExecutor:
    """So many processes, which are forked from one that has imported a module where that is possible."""
    context = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
    if sys.platform != "win32":
        context.set_forkserver_preload([module])
    return ProcessPoolExecutor(count, context, _prepare)


def _prepare() -> None:
    """Leaves the other cores to the other workers, and ends with the process that started this one."""
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Waits for the end of the parent process, which may be killed without a word."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _abandon(pool: ProcessPoolExecutor, futures: Sequence[Future[Result]]) -> None:
    """Ends the workers without waiting for what they are at."""
    pool.shutdown(wait=False, cancel_futures=True)
    for process in multiprocessing.active_children():
        process.terminate()
