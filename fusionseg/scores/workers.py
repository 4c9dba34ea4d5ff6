"""Scores images in several processes, with a progress bar."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
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

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def mapped(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int | None = None
) -> list[Result]:
    """The results of a function for each item, in their order.

    Args:
        function: A function of a module, which processes can import.
        items: What it is called with.
        jobs: Number of processes; by default one for each core. With one nothing is started.
    """
    count = min(jobs or cores(), len(items))
    columns = (
        TextColumn("scoring"),
        BarColumn(24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        row = bar.add_task("scoring", total=len(items))
        if count <= 1:
            results = []
            for item in items:
                results.append(function(item))
                bar.advance(row)
            return results
        # the server has imported the function's module once for all workers
        context = multiprocessing.get_context("forkserver" if sys.platform != "win32" else "spawn")
        if sys.platform != "win32":
            context.set_forkserver_preload([function.__module__])
        with ProcessPoolExecutor(count, context, _single_threaded) as pool:
            futures = [pool.submit(function, item) for item in items]
            try:
                for future in as_completed(futures):
                    future.result()
                    bar.advance(row)
            except BaseException:
                _abandon(pool, futures)
                raise
            return [future.result() for future in futures]


def _single_threaded() -> None:
    """Leaves the other cores to the other workers."""
    cv2.setNumThreads(1)


def _abandon(pool: ProcessPoolExecutor, futures: Sequence[Future[Result]]) -> None:
    """Ends the workers without waiting for what they are at."""
    pool.shutdown(wait=False, cancel_futures=True)
    for process in multiprocessing.active_children():
        process.terminate()
