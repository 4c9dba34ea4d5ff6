"""Makes the launcher that a command line asks for."""

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Literal, TypeAlias

from fusionseg.config.errors import UsageError, mapping
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.launcher import Launcher
from fusionseg.studies.local_launcher import LocalLauncher
from fusionseg.studies.ray_launcher import RayLauncher
from fusionseg.studies.slots import Slot, slots
from fusionseg.studies.slurm_launcher import SlurmLauncher
from fusionseg.studies.slurm_queue import SlurmQueue
from fusionseg.studies.slurm_records import SlurmRecords

Kind: TypeAlias = Literal["local", "slurm", "ray"]

OURS = ("job_name", "nodes", "ntasks_per_node", "array_parallelism", "dependency", "use_srun")
"""Parameters of submitit that the launcher decides."""

GENERIC = {"timeout_min": "time"}
"""submitit's names for all clusters, by those for SLURM."""


def launcher(
    kind: Kind,
    folder: StudyFolder,
    gpus: float | None = None,
    cpus: int | None = None,
    slurm: Mapping[str, Any] | Path | None = None,
    address: str | None = None,
) -> Launcher:
    """The launcher of a kind.

    Args:
        kind: Where the runs are computed.
        folder: The study's folder.
        gpus: GPUs of each run; on this machine the slots say that.
        cpus: Cores of each run on a cluster; by default 4 with a GPU and 1 without.
        slurm: submitit's parameters, or the file of them.
        address: Of the Ray cluster.

    Raises:
        UsageError: If what it takes is not installed, a number is out of range, or an argument is of another
            launcher.
    """
    _check_kind(kind, ["slurm"], slurm=slurm)
    _check_kind(kind, ["ray"], ray_address=address)
    _check_kind(kind, ["slurm", "ray"], cpus_per_run=cpus)
    if cpus is not None and cpus < 1:
        raise UsageError(f"expected at least 1, found {cpus}", "cpus-per-run")
    if kind == "local":
        return LocalLauncher()
    if gpus is not None and (gpus < 0 or (gpus > 1 and gpus != int(gpus))):
        raise UsageError(f"expected a fraction or a whole number of GPUs, found {gpus}", "gpus-per-run")
    if kind == "ray":
        return RayLauncher(cpus, gpus, address)
    return _slurm(folder, 1.0 if gpus is None else gpus, cpus, slurm)


def slots_for(kind: Kind, jobs: int | None, gpus: float | None) -> list[Slot]:
    """What the runs at once are computed on: on a cluster nothing of this machine.

    Without a number none is returned for a cluster, where all runs may wait.

    Raises:
        UsageError: If a number is out of range.
    """
    if kind == "local":
        return slots(jobs, gpus)
    if jobs is not None and jobs < 1:
        raise UsageError(f"expected at least 1, found {jobs}", "jobs")
    return [Slot()] * (jobs or 0)


def _check_kind(kind: Kind, kinds: Sequence[str], **given: object) -> None:
    """Raises a UsageError if an argument is given that only other launchers have."""
    for name, value in given.items():
        if value is not None and kind not in kinds:
            expected = " or ".join(kinds)
            raise UsageError(
                f"expected only with --launcher {expected}, found with {kind}", name.replace("_", "-")
            )


def _slurm(
    folder: StudyFolder, gpus: float, cpus: int | None, given: Mapping[str, Any] | Path | None
) -> SlurmLauncher:
    try:
        import submitit
    except ImportError as error:
        raise UsageError('this takes submitit: pip install "fusionseg[slurm]"', "launcher") from error
    if gpus != int(gpus):
        raise UsageError(f"SLURM shares no GPU: expected a whole number, found {gpus}", "gpus-per-run")
    threads = cpus or (4 if gpus else 1)
    records = SlurmRecords(folder.slurm)
    parameters = slurm_parameters(mapping(given) if isinstance(given, Path) else given or {})
    if gpus:
        parameters = {"gpus_per_node": int(gpus), **parameters}
    try:
        executor = submitit.SlurmExecutor(records.submissions.resolve())
        executor.update_parameters(**{"cpus_per_task": threads, **parameters})
    except RuntimeError as error:
        raise UsageError(f"expected a machine that submits to SLURM: {error}", "launcher") from error
    except (ValueError, TypeError) as error:
        raise UsageError(" ".join(str(error).split()), "slurm") from error
    return SlurmLauncher(records, executor, SlurmQueue(), threads)


def slurm_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of submitit's SlurmExecutor, whose names may begin with `slurm_` as in its documentation.

    Without a time the limit is that of the partition. SLURM requeues nothing, as the driver does that.

    Raises:
        UsageError: If one is decided otherwise.

    >>> slurm_parameters({"slurm_partition": "gpu", "timeout_min": 60})["time"]
    60
    """
    bare = {str(key).removeprefix("slurm_"): value for key, value in given.items()}
    named = {"time": None} | {GENERIC.get(key, key): value for key, value in bare.items()}
    if ours := sorted(named.keys() & {*OURS}):
        raise UsageError("the launcher decides that", f"slurm.{ours[0]}")
    more = named.get("additional_parameters") or {}
    if not isinstance(more, dict):
        raise UsageError(f"expected a mapping, found {more!r}", "slurm.additional_parameters")
    return {**named, "additional_parameters": {**more, "no-requeue": True}}


def check_left(kind: Kind, folder: StudyFolder) -> None:
    """Raises a UsageError if SLURM may have jobs of an earlier driver, which another launcher repeats."""
    left = SlurmRecords(folder.slurm).all() if kind != "slurm" else {}
    if left:
        raise UsageError(
            f"{folder.path}: a driver that was killed left {len(left)} jobs in SLURM: go on with --launcher "
            f"slurm, or cancel them (scancel) and remove {folder.slurm}"
        )


@contextmanager
def stoppable() -> Iterator[None]:
    """Lets SIGTERM end a block as Ctrl-C does, with exit code 143, so that what it started is stopped."""
    received: list[int] = []

    def stop(signum: int, _: FrameType | None) -> None:
        received.append(signum)
        raise SystemExit(128 + signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except SystemExit as error:
        if received:  # while Ray waits it makes this 1
            raise SystemExit(128 + received[0]) from error
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
