"""Starts the processes of a study on this machine, each on its own cores and devices."""

import json
import os
import selectors
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from fusionseg.studies.fork_server import die_with_parent
from fusionseg.studies.launcher import Job, Launcher

QUIET = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1", "OPENBLAS_NUM_THREADS": "1"}
"""The environment of a process that opens no device and starts no thread when it imports torch and numpy."""


class LocalLauncher(Launcher):
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
        if job.slot.processes > 1:
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
            time.sleep(0 if ended else seconds)
            return ended
        output: Any = self._server.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            if not selector.select(0 if ended else seconds):
                return ended
        read = os.read(output.fileno(), 1 << 16)
        if not read:
            self._forget()
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
        if self._server is not None and self._server.stdin is not None and self._server.stdout is not None:
            with suppress(BrokenPipeError):  # of a request that it did not read
                self._server.stdin.close()
            self._server.wait()
            self._server.stdout.close()
            self._server = None
        for program in self._programs.values():
            program.wait()

    def _forget(self) -> None:
        """Lets go of the process that forks the jobs, which is dead."""
        server: Any = self._server
        self._server = None
        server.wait()
        server.stdout.close()
        with suppress(BrokenPipeError):  # of a request that it did not read
            server.stdin.close()

    def _send(self, request: dict[str, Any]) -> None:
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "fusionseg.studies.fork_server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **QUIET},
                start_new_session=True,  # so that Ctrl-C reaches the driver alone
            )
        input: Any = self._server.stdin
        with suppress(BrokenPipeError):  # it died, which `ended` reports
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
            preexec_fn=die_with_parent,  # or its devices would be given to others
        )
