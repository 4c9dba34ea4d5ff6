"""Runs the jobs of a study in SLURM, submitted through submitit."""

import re
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fusionseg.config.errors import UserError
from fusionseg.studies.launcher import Job, Launcher
from fusionseg.studies.node_process import NodeProcess
from fusionseg.studies.slurm_queue import SlurmQueue
from fusionseg.studies.slurm_records import SlurmRecord, SlurmRecords

LOST = 1
"""The exit code that is reported of a job that left none."""

PATIENCE = 0.5
"""Seconds between looks at the exit codes, which are files."""

LOOK = 15.0
"""Seconds between questions to SLURM."""

GRACE = 60.0
"""Seconds after which a job that SLURM no longer has is lost; its exit code may be seen after its end."""


@dataclass(frozen=True)
class _Submitted:
    job: Job
    record: SlurmRecord


class SlurmLauncher(Launcher):
    """Submits each job on its own; jobs outlive the driver, and the next one in the folder takes them over.

    A job is on record under a name of its own before it is submitted, so that a driver may be killed
    anywhere. It leaves its exit code as a file; one that SLURM no longer has and that left none is lost.

    Args:
        records: What is on record.
        executor: submitit's executor, with the resources of a job.
        queue: What SLURM has.
        threads: Threads of each process.
        look: Seconds between questions to SLURM.
        grace: Seconds after which a job that SLURM no longer has is lost.
    """

    def __init__(
        self,
        records: SlurmRecords,
        executor: Any,
        queue: SlurmQueue,
        threads: int = 1,
        look: float = LOOK,
        grace: float = GRACE,
    ) -> None:
        self.records = records
        self.executor = executor
        self.queue = queue
        self.threads = threads
        self.look = look
        self.grace = grace
        self._running: dict[str, _Submitted] = {}
        self._waiting: dict[str, Job] = {}  # for a refusal to be over, or an earlier driver's job to end
        self._dropped: dict[str, int] = {}  # stopped before SLURM had them
        self._left: dict[str, SlurmRecord] | None = None
        self._missing: dict[str, float] = {}
        self._next_look = 0.0
        self._next_try = 0.0
        self._accepted = False

    def takes_over(self, name: str) -> bool:
        """Whether an earlier driver left a job of this name."""
        return name in self._earlier()

    def start(self, job: Job) -> None:
        """Submits a job, or takes over the one that an earlier driver left.

        Raises:
            UserError: If SLURM refuses the first job; a later one is tried again.
        """
        job.log.parent.mkdir(parents=True, exist_ok=True)
        left = self._earlier().pop(job.name, None)
        if left is None:
            self._submit(job)
            return
        self._running[job.name] = _Submitted(job, left)
        if left.command != job.command:
            self._waiting[job.name] = job

    def ended(self, seconds: float) -> dict[str, int]:
        """The exit codes of the jobs that ended; waits so long at most if none has."""
        until = time.monotonic() + seconds
        while True:
            self._submit_waiting()
            codes = {**self._codes(), **self._dropped}
            self._dropped.clear()
            if codes or time.monotonic() >= until:
                return codes
            time.sleep(min(PATIENCE, seconds))

    def stop(self, name: str) -> None:
        """Asks a job to stop; one that waits in the queue is canceled."""
        waiting = self._waiting.pop(name, None)
        if name in self._running:
            self.queue.stop([self._running[name].record.name])
        elif waiting is not None:
            self._dropped[name] = -signal.SIGTERM

    def close(self) -> None:
        """Stops all jobs and waits until SLURM has none of them.

        Raises:
            UserError: If SLURM does not answer; the next driver in the folder takes over.
        """
        self._waiting.clear()
        if not self._running:
            return
        stopped = {**self._earlier(), **{name: one.record for name, one in self._running.items()}}
        names = {record.name for record in stopped.values()}
        self.queue.stop(sorted(names))
        while names & self.queue.jobs().keys():
            time.sleep(2 * PATIENCE)
        for run, record in stopped.items():
            self.records.remove(run, record)
        self._running.clear()
        self._left = {}

    def _earlier(self) -> dict[str, SlurmRecord]:
        """The jobs of earlier drivers that SLURM still has, or that left an exit code."""
        if self._left is None:
            found = self.records.all()
            known = self.queue.jobs().keys() | self.records.exits().keys() if found else set()
            self._left = {run: record for run, record in found.items() if record.name in known}
        return self._left

    def _submit(self, job: Job) -> None:
        from submitit.core.utils import FailedJobError

        name = f"{re.sub(r'[^A-Za-z0-9._-]', '-', job.name)}-{secrets.token_hex(4)}"
        record = SlurmRecord(name, job.command)
        self.records.write(job.name, record)
        self._running[job.name] = _Submitted(job, record)
        process = NodeProcess.of(job, self.threads)
        self.executor.update_parameters(job_name=name)
        try:
            submitted = self.executor.submit(_run, SlurmRecords(self.records.folder.resolve()), name, process)
        except FailedJobError as error:
            del self._running[job.name]
            self.records.remove(job.name, record)
            if not self._accepted:
                raise UserError(f"SLURM refuses {job.name}: {_line(error)}") from error
            print(f"SLURM refuses {job.name} for now: {_line(error)}", file=sys.stderr)
            self._waiting[job.name] = job
            self._next_try = time.monotonic() + self.look
            return
        self._accepted = True
        record = replace(record, number=str(submitted.job_id))
        self.records.write(job.name, record)
        self._running[job.name] = _Submitted(job, record)

    def _submit_waiting(self) -> None:
        for name in list(self._waiting):
            if name not in self._running and time.monotonic() >= self._next_try:
                self._submit(self._waiting.pop(name))

    def _codes(self) -> dict[str, int]:
        exits = self.records.exits()
        lost = self._lost([one.record.name for one in self._running.values() if one.record.name not in exits])
        codes = {}
        for run, one in list(self._running.items()):
            name = one.record.name
            if name in lost:
                self._report_lost(one)
            elif name not in exits:
                continue
            del self._running[run]
            self.records.remove(run, one.record)
            if run not in self._waiting:
                codes[run] = exits.get(name, LOST)
        return codes

    def _lost(self, names: Sequence[str]) -> list[str]:
        """Those of the jobs that SLURM has not had for long enough."""
        now = time.monotonic()
        if now < self._next_look or not names:
            return []
        self._next_look = now + self.look
        try:
            known = self.queue.jobs()
        except UserError as error:
            print(error, file=sys.stderr)
            return []
        self._missing = {name: self._missing.get(name, now) for name in names if name not in known}
        return [name for name, since in self._missing.items() if now - since >= self.grace]

    def _report_lost(self, one: _Submitted) -> None:
        number = one.record.number or "without a number"
        output = self.records.submissions / f"{number}_0_log.err"
        with one.job.log.open("a", encoding="utf-8") as log:
            log.write(f"SLURM job {number} ended without an exit code; SLURM and {output} may say why\n")


def _run(records: SlurmRecords, name: str, process: NodeProcess) -> None:
    """Runs on the node."""
    records.write_exit(name, process.run(asks=[signal.SIGUSR2]))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
