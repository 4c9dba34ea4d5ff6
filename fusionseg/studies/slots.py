"""Divides this machine's cores and GPUs among the runs of a study."""

import os
import subprocess
from dataclasses import dataclass

from fusionseg.config.errors import UsageError


@dataclass(frozen=True)
class Slot:
    """What one run at a time computes on.

    Attributes:
        cores: Numbers of processor cores; empty where the system does not tell.
        devices: GPUs by number or id; empty for none, None where something else hands them out.
    """

    cores: tuple[int, ...] = ()
    devices: tuple[str, ...] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of its processes."""
        threads = {}
        if self.cores:
            threads = {"OMP_NUM_THREADS": str(max(1, len(self.cores) // self.processes))}
        return threads | ({} if self.devices is None else {"CUDA_VISIBLE_DEVICES": ",".join(self.devices)})

    @property
    def processes(self) -> int:
        """How many ranks train on it."""
        return max(1, len(self.devices or ()))


def slots(jobs: int | None = None, per_run: float | None = None) -> list[Slot]:
    """What each of the runs at once computes on.

    Args:
        jobs: Runs at once; by default as many as the GPUs allow, or half as many as there are cores.
        per_run: GPUs of each run: a whole number, or a fraction for several runs on one; by default 1 if
            there are GPUs, else 0.

    Raises:
        UsageError: If there are fewer GPUs than a run needs, or a number is out of range.
    """
    groups = _groups(devices(), per_run)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if jobs is not None and jobs < 1:
        raise UsageError(f"expected at least 1, found {jobs}", "jobs")
    number = jobs or len(groups) or max(1, (len(cores) or os.cpu_count() or 1) // 2)
    number = min(number, len(groups) or number)
    none = () if per_run == 0 else None
    return [Slot(_share(cores, i, number), groups[i] if groups else none) for i in range(number)]


def _groups(found: list[str], per_run: float | None) -> list[tuple[str, ...]]:
    """The GPUs of each run; none at all where runs take none."""
    share = (1.0 if found else 0.0) if per_run is None else per_run
    if share < 0 or (share > 1 and share != int(share)):
        raise UsageError(f"expected a fraction or a whole number of GPUs, found {share}", "gpus-per-run")
    if share > len(found):
        raise UsageError(
            f"expected at most the {len(found)} GPUs of this machine, found {share}", "gpus-per-run"
        )
    if share == 0:
        return []
    if share < 1:
        # first one on each GPU, so that fewer runs than there is room for do not share one
        return [(device,) for _ in range(int(1 / share + 1e-9)) for device in found]
    size = int(share)
    return [tuple(found[i : i + size]) for i in range(0, len(found) - size + 1, size)]


def _share(cores: list[int], place: int, number: int) -> tuple[int, ...]:
    """The cores of one of so many runs; with more runs than cores, several share one."""
    if not cores:
        return ()
    return tuple(cores[place::number]) or (cores[place % len(cores)],)


def devices() -> list[str]:
    """The GPUs that this process may use, by number or id; asked of the driver's tool, which opens none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [str(i) for i, line in enumerate(line for line in listed.splitlines() if line.startswith("GPU "))]
