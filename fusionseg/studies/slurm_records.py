"""What a study folder keeps of its jobs in SLURM, so that a driver that starts again finds them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from fusionseg.config.errors import UsageError
from fusionseg.files.atomic import write_json, write_text


@dataclass(frozen=True)
class SlurmRecord:
    """A job that was submitted.

    Attributes:
        name: Its name in SLURM, which no other job ever has; it is on record before SLURM knows it.
        command: `fit` or `evaluate`.
        number: SLURM's id; empty until SLURM has answered.
    """

    name: str
    command: str
    number: str = ""


class SlurmRecords:
    """`jobs/<variant>/<seed>.json` is the job of a run, `exits/<job's name>` the exit code that it left.

    Args:
        folder: The folder for them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.submissions = folder / "submitit"
        self._jobs = folder / "jobs"
        self._exits = folder / "exits"

    def all(self) -> dict[str, SlurmRecord]:
        """The jobs on record, by the folders of their runs.

        Raises:
            UsageError: If a record cannot be read.
        """
        return {
            path.relative_to(self._jobs).with_suffix("").as_posix(): _read(path)
            for path in sorted(self._jobs.glob("*/[!.]*.json"))
        }

    def write(self, run: str, record: SlurmRecord) -> None:
        """Puts the job of a run on record."""
        write_json(self._job(run), asdict(record))

    def remove(self, run: str, record: SlurmRecord) -> None:
        """Forgets the job of a run, which has ended."""
        self._job(run).unlink(missing_ok=True)
        (self._exits / record.name).unlink(missing_ok=True)

    def exits(self) -> dict[str, int]:
        """The exit codes of the jobs that ended, by their names.

        The folder is listed, after which a network file system shows what other hosts wrote.
        """
        if not self._exits.is_dir():
            return {}
        files = [path for path in self._exits.iterdir() if not path.name.startswith(".")]
        return {path.name: int(path.read_text(encoding="utf-8")) for path in files}

    def write_exit(self, name: str, code: int) -> None:
        """Leaves the exit code of a job; called on the node."""
        write_text(self._exits / name, str(code))

    def _job(self, run: str) -> Path:
        return self._jobs / f"{run}.json"


def _read(path: Path) -> SlurmRecord:
    try:
        return SlurmRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{path}: expected the record of a SLURM job, found a damaged file: cancel the job and remove it"
        ) from error
