"""What starts the processes of a study: the interface of the launchers, and what they are given."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fusionseg.studies.slots import Slot


@dataclass(frozen=True)
class Job:
    """A process: a command of fusionseg with its arguments.

    Attributes:
        name: A name that no other running job has.
        command: `fit` or `evaluate`.
        arguments: Its arguments.
        log: The file that its output is added to.
        slot: What it computes on, where the launcher leaves that to the driver.
        environment: Further environment variables.
    """

    name: str
    command: str
    arguments: Sequence[str]
    log: Path
    slot: Slot = field(default_factory=Slot)
    environment: Mapping[str, str] = field(default_factory=dict)


class Launcher(ABC):
    """Runs jobs somewhere; what is run and when, the driver decides. After `close` jobs may start again."""

    @abstractmethod
    def start(self, job: Job) -> None:
        """Starts a job, or takes over the one of its name that an earlier driver left."""

    @abstractmethod
    def ended(self, seconds: float) -> dict[str, int]:
        """The exit codes of the jobs that ended, by their names; waits so long at most if none has.

        Raises:
            ChildProcessError: If what runs all jobs on this machine died, and they with it.
        """

    @abstractmethod
    def stop(self, name: str) -> None:
        """Asks a job to stop; a training writes its last checkpoint first."""

    @abstractmethod
    def close(self) -> None:
        """Stops all jobs and waits for them."""

    def takes_over(self, name: str) -> bool:
        """Whether an earlier driver left a job of this name, which `start` takes over."""
        return False
