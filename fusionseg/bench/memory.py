"""The peak of the memory that a measurement takes."""

import resource
import sys
from pathlib import Path

import torch

RESET = Path("/proc/self/clear_refs")
"""Writing 5 here makes Linux forget the peak of this process's resident memory (`man 5 proc`)."""

STATUS = Path("/proc/self/status")


def reset_peak(device: torch.device) -> bool:
    """Forgets the peak so far.

    Args:
        device: The device whose memory counts.

    Returns:
        Whether `peak` is that of what follows; otherwise it is of the whole process, as outside of Linux.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    try:
        RESET.write_text("5")
    except OSError:
        return False
    return True


def peak(device: torch.device) -> int:
    """The most bytes since `reset_peak`: allocated by torch on a GPU, else resident of this process.

    Resident memory has the libraries and the weights in it.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if STATUS.is_file():
        # unlike `getrusage`, whose peak is never less than when a thread ended
        [line] = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
