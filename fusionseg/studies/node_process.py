"""Runs a job's command on a node of a cluster, as a process of its own that is asked to stop."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fusionseg.studies.fork_server import die_with_parent
from fusionseg.studies.launcher import Job

HIDDEN = ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
"""What makes Lightning take a process for one of several ranks that SLURM started."""

PATIENCE = 0.2
"""Seconds between looks at the process."""


@dataclass(frozen=True)
class NodeProcess:
    """What a node needs to know of a job; folders and files are the same on all of them.

    Attributes:
        command: The program's module and its arguments.
        log: The file that its output is added to.
        folder: Where the driver was started, which relative paths begin at.
        environment: Environment variables beside the node's own.
    """

    command: Sequence[str]
    log: str
    folder: str
    environment: Mapping[str, str]

    @classmethod
    def of(cls, job: Job, threads: int) -> "NodeProcess":
        """The process of a job that computes with so many threads."""
        environment = {"OMP_NUM_THREADS": str(threads), **job.environment}
        command = (f"fusionseg.{job.command}", *job.arguments)
        return cls(command, str(job.log.resolve()), os.getcwd(), environment)

    def run(self, asks: Sequence[int] = ()) -> int:
        """Runs it to its end and returns its exit code.

        The first of the signals `asks` is passed on as SIGUSR1, after which training writes its last
        checkpoint. The process itself ignores SIGUSR2, which SLURM sends to all processes of a job, and gets
        SIGTERM if this one dies.
        """
        own = {name: value for name, value in os.environ.items() if name not in HIDDEN}
        asked: list[int] = []
        before = {number: signal.signal(number, lambda number, _: asked.append(number)) for number in asks}
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**own, **self.environment},
                start_new_session=True,
                preexec_fn=_prepare,
            )
        passed_on = False
        while process.poll() is None:
            time.sleep(PATIENCE)
            if asked and not passed_on:
                passed_on = True
                process.send_signal(signal.SIGUSR1)
        for number, handler in before.items():
            signal.signal(number, handler)
        return process.returncode


def _prepare() -> None:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    die_with_parent()
