"""Files that one of several processes fills, while the others wait for it."""

import time
from collections.abc import Callable
from pathlib import Path

from fusionseg.files.locks import locked, unlock

WAIT = 0.2
"""Seconds after which it is looked again whether another process has filled a file."""


def fill_once(last: Path, fill: Callable[[], None]) -> None:
    """Returns when a file exists, which one process writes, be there many that begin at once.

    If that process is killed, another one begins anew.

    Args:
        last: The file that is written last; its folder is created. Drafts of it, and of files that differ in
            their suffix alone, are removed before it is written.
        fill: Writes it.
    """
    last.parent.mkdir(parents=True, exist_ok=True)
    while not last.exists():
        _fill_or_wait(last, fill)


def _fill_or_wait(last: Path, fill: Callable[[], None]) -> None:
    """Fills the file, or waits for a moment where another process fills it."""
    lock = last.with_suffix(".lock")
    held = locked(lock)
    if held is None:
        time.sleep(WAIT)
        return
    descriptor, is_alone = held
    try:
        if not last.exists():
            if is_alone:
                # drafts of processes that were killed
                for draft in last.parent.glob(f".{last.stem}.*"):
                    draft.unlink(missing_ok=True)
            fill()
    finally:
        lock.unlink(missing_ok=True)
        unlock(descriptor)
