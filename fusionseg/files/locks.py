"""Locks on files, which the operating system drops when the process that holds them dies."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

_HELD: dict[int, os.stat_result] = {}
"""The descriptors that hold this process's locks, and of which files they are."""


def locked(path: Path) -> tuple[int, bool] | None:
    """Locks a file for this process; it is created where it does not exist.

    Args:
        path: The file. Its owner may remove it before the lock is released.

    Returns:
        The open descriptor, which holds the lock until `unlock`, and whether the file system has locks at
        all; None if another process holds it. Processes that are forked hold nothing: a training that is
        killed lets go at once, though those that prepared its batches live on for seconds.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            return descriptor, False
        if _same(descriptor, path):
            _HELD[descriptor] = os.fstat(descriptor)
            return descriptor, True
        os.close(descriptor)  # its last owner removed the file between the opening and the lock


def unlock(descriptor: int) -> None:
    """Closes the descriptor of a lock, which is released with that."""
    _HELD.pop(descriptor, None)
    os.close(descriptor)


def _let_go() -> None:
    """Closes a forked process's copies of the descriptors, any of which would hold the lock."""
    for descriptor, file in _HELD.items():
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), file):
                os.close(descriptor)
    _HELD.clear()


os.register_at_fork(after_in_child=_let_go)


def _same(descriptor: int, path: Path) -> bool:
    """Whether a descriptor is that of the file that the path names now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
