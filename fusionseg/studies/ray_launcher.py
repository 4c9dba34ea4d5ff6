"""Runs the jobs of a study as tasks of a Ray cluster."""

import os
import signal
import sys
import time
from typing import Any

from fusionseg.config.errors import UsageError
from fusionseg.studies.launcher import Job, Launcher
from fusionseg.studies.node_process import NodeProcess

LOST = 1
"""The exit code that is reported of a task that Ray could not finish."""


class RayLauncher(Launcher):
    """Gives each job to Ray, which finds a node for it; Ray ends the tasks of a driver that died.

    Args:
        cpus: Cores of each job; by default 4 with a GPU and 1 without.
        gpus: GPUs of each job, also a fraction; by default 1 if the cluster has any.
        address: The cluster's; by default that of `RAY_ADDRESS`, the one that this machine is part of, or a
            new one of this machine alone.

    Raises:
        UsageError: If Ray is not installed.
    """

    def __init__(
        self, cpus: int | None = None, gpus: float | None = None, address: str | None = None
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise UsageError('this takes Ray: pip install "fusionseg[ray]"', "launcher") from error
        self.ray: Any = ray
        self.cpus = cpus
        self.gpus = gpus
        self.address = address
        self._task: Any = None
        self._threads = 1
        self._running: dict[Any, Job] = {}

    def start(self, job: Job) -> None:
        """Gives a job to Ray.

        Raises:
            UsageError: If there is no cluster at the address.
        """
        if self._task is None:
            self._connect()
        job.log.parent.mkdir(parents=True, exist_ok=True)
        self._running[self._task.remote(NodeProcess.of(job, self._threads))] = job

    def ended(self, seconds: float) -> dict[str, int]:
        """The exit codes of the jobs that ended; waits so long at most if none has."""
        if not self._running:
            time.sleep(seconds)
            return {}
        ready, _ = self.ray.wait(list(self._running), timeout=seconds)
        return {self._running[reference].name: self._code(reference) for reference in ready}

    def stop(self, name: str) -> None:
        """Asks a job to stop."""
        for reference, job in self._running.items():
            if job.name == name:
                self.ray.cancel(reference)

    def close(self) -> None:
        """Stops all jobs, waits for them, and leaves the cluster."""
        for reference in self._running:
            self.ray.cancel(reference)
        while self._running:
            self.ended(1.0)
        if self._task is not None:
            self._task = None
            self.ray.shutdown()

    def _connect(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        before = signal.getsignal(signal.SIGTERM)
        try:
            self.ray.init(address=self.address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError) as error:
            raise UsageError(f"no Ray cluster can be reached: {error}", "ray-address") from error
        if signal.getsignal(signal.SIGTERM) is not before:  # Ray has one of its own
            signal.signal(signal.SIGTERM, before)
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        has_gpus = any(node.get("GPU") for node in nodes)
        gpus = self.gpus if self.gpus is not None else float(has_gpus)
        cpus = self.cpus or (4 if gpus else 1)
        if not any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes):
            print(f"no node of the Ray cluster has {cpus} CPUs and {gpus:g} GPUs yet", file=sys.stderr)
        self._threads = cpus
        # that a run is started again is the driver's to decide
        self._task = self.ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(_run)

    def _code(self, reference: Any) -> int:
        job = self._running.pop(reference)
        try:
            return int(self.ray.get(reference))
        except self.ray.exceptions.RayError as error:
            with job.log.open("a", encoding="utf-8") as log:
                log.write(f"{type(error).__name__}: {' '.join(str(error).split())}\n")
            return LOST


def _run(process: NodeProcess) -> int:
    """Runs on the node; Ray cancels a task with SIGINT."""
    return process.run(asks=[signal.SIGINT])
