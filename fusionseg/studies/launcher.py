"""Starts the processes of a study on this machine, each on its own cores and devices."""

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Slot:
    """What one run at a time computes on.

    Attributes:
        cores: Numbers of processor cores; empty where the system does not tell.
        devices: GPUs by number or id; empty for none.
    """

    cores: tuple[int, ...] = ()
    devices: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of its processes."""
        threads = {"OMP_NUM_THREADS": str(max(1, len(self.cores)))} if self.cores else {}
        return threads | ({"CUDA_VISIBLE_DEVICES": ",".join(self.devices)} if self.devices else {})


@dataclass(frozen=True)
class Job:
    """A process: a command of fusionseg with its arguments.

    Attributes:
        name: A name that no other running job has.
        command: `fit` or `evaluate`.
        arguments: Its arguments.
        log: The file that its output is added to.
        slot: What it computes on.
        environment: Further environment variables.
    """

    name: str
    command: str
    arguments: Sequence[str]
    log: Path
    slot: Slot = Slot()
    environment: Mapping[str, str] = field(default_factory=dict)


class LocalLauncher:
    """Runs jobs on this machine as forks of a process that has imported everything.

    A job on several devices is started as a program of its own instead, because its ranks start again by its
    command line.
    """

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._programs: dict[str, subprocess.Popen[bytes]] = {}
        self._rest = b""

    def start(self, job: Job) -> None:
        """Starts a job."""
        job.log.parent.mkdir(parents=True, exist_ok=True)
        if len(job.slot.devices) > 1:
            self._programs[job.name] = _program(job)
            return
        self._send(
            {
                "id": job.name,
                "command": job.command,
                "arguments": list(job.arguments),
                "log": str(job.log),
                "cores": list(job.slot.cores),
                "threads": len(job.slot.cores) or os.cpu_count() or 1,
                "environment": {**job.slot.environment, **job.environment},
            }
        )

    def ended(self, seconds: float) -> dict[str, int]:
        """The exit codes of the jobs that ended; waits so long at most if none has.

        Raises:
            ChildProcessError: If the process that forks the jobs died; its jobs die with it.
        """
        ended = {name: code for name, p in self._programs.items() if (code := p.poll()) is not None}
        for name in ended:
            del self._programs[name]
        if self._server is None:
            return ended
        output: Any = self._server.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            if not selector.select(0 if ended else seconds):
                return ended
        read = os.read(output.fileno(), 1 << 16)
        if not read:
            self._server = None
            raise ChildProcessError("the process that forks the runs died")
        *lines, self._rest = (self._rest + read).split(b"\n")
        reports = [json.loads(line) for line in lines]
        return ended | {report["id"]: report["code"] for report in reports if "code" in report}

    def stop(self, name: str) -> None:
        """Asks a job to stop; it writes its last checkpoint first."""
        if name in self._programs:
            self._programs[name].terminate()
        elif self._server is not None:
            self._send({"stop": name})

    def close(self) -> None:
        """Stops all jobs and waits for them."""
        for program in self._programs.values():
            program.terminate()
        if self._server is not None and self._server.stdin is not None:
            self._server.stdin.close()
            self._server.wait()
            self._server = None
        for program in self._programs.values():
            program.wait()

    def _send(self, request: dict[str, Any]) -> None:
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "fusionseg.studies.fork_server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # so that Ctrl-C reaches the driver alone
            )
        input: Any = self._server.stdin
        input.write(json.dumps(request).encode() + b"\n")
        input.flush()


def _program(job: Job) -> subprocess.Popen[bytes]:
    with job.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", f"fusionseg.{job.command}", *job.arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **job.slot.environment, **job.environment},
            start_new_session=True,
        )


def slots(jobs: int | None = None, per_run: float | None = None) -> list[Slot]:
    """Divides this machine's cores and GPUs among runs.

    Args:
        jobs: Runs at once; by default as many as the GPUs allow, or half as many as there are cores.
        per_run: GPUs of each run: a whole number, or a fraction for several runs on one; by default 1 if
            there are GPUs, else 0.

    Raises:
        UsageError: If there are fewer GPUs than a run needs, or a number is out of range.
    """
    from fusionseg.config.errors import UsageError

    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    found = devices()
    share = (1.0 if found else 0.0) if per_run is None else per_run
    if share < 0 or (share > 1 and share != int(share)):
        raise UsageError(f"expected a fraction or a whole number of GPUs, found {share}", "gpus-per-run")
    if share > len(found):
        raise UsageError(
            f"expected at most the {len(found)} GPUs of this machine, found {share}", "gpus-per-run"
        )
    if share >= 1:
        size = int(share)
        groups = [tuple(found[i : i + size]) for i in range(0, len(found) - size + 1, size)]
    elif share > 0:
        groups = [(device,) for device in found for _ in range(int(1 / share + 1e-9))]
    else:
        groups = []
    number = jobs or len(groups) or max(1, (len(cores) or os.cpu_count() or 1) // 2)
    if number < 1:
        raise UsageError(f"expected at least 1, found {jobs}", "jobs")
    if groups:
        number = min(number, len(groups))
    shared = [
        tuple(cores[i::number]) or tuple(cores[i % len(cores) : i % len(cores) + 1]) if cores else ()
        for i in range(number)
    ]
    return [Slot(shared[i], groups[i] if groups else ()) for i in range(number)]


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
