"""Locks on files, which the operating system drops when the process that holds them dies."""

import fcntl
import os
from pathlib import Path


def locked(path: Path) -> tuple[int, bool] | None:
    """Locks a file for this process; it is created where it does not exist.

    Args:
        path: The file. Its owner may remove it before the lock is released.

    Returns:
        The open descriptor, which holds the lock until it is closed, and whether the file system has locks at
        all; None if another process holds it.
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
            return descriptor, True
        os.close(descriptor)  # its last owner removed the file between the opening and the lock


def _same(descriptor: int, path: Path) -> bool:
    """Whether a descriptor is that of the file that the path names now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
