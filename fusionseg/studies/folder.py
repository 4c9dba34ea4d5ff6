"""The folder of one or more studies: every path in it, and what is on record about each run."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fusionseg.config.errors import UsageError
from fusionseg.files.atomic import Json, write_json
from fusionseg.files.locks import locked, unlock

VERSION = 1
"""The version of what a study writes; a folder of another one is refused."""

TAIL = 2000
"""Characters of a log that a failed run's record keeps."""


class StudyFolder:
    """The only place that knows what lies in a study folder.

    `studies/<name>.json` holds what each study declares and which run folder belongs to each variant and
    seed, `studies/<name>.journal` the trials of a search, `runs/<key>.json` what happened to the run of a
    key, `logs/` what the runs printed, `slurm/` which jobs SLURM has, `speeds.json` how long a step of each
    configuration takes on each machine. The runs themselves lie in `<variant>/<seed>`.

    Args:
        path: The folder, which need not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.studies = self.path / "studies"
        self.records = self.path / "runs"
        self.logs = self.path / "logs"
        self.slurm = self.path / "slurm"
        self.speeds = self.path / "speeds.json"

    def names(self) -> list[str]:
        """The names of the studies in the folder."""
        return sorted(path.stem for path in self.studies.glob("[!.]*.json"))

    def declaration(self, name: str) -> Path:
        """The file of what a study declares."""
        return self.studies / f"{name}.json"

    def journal(self, name: str) -> Path:
        """The file of the trials of a study's search, where no database is named."""
        return self.studies / f"{name}.journal"

    def declared(self, name: str | None = None) -> Json:
        """What a study declares.

        Args:
            name: Which study; may be left out where there is one.

        Raises:
            UsageError: If there is no study, several and none is named, or one of another version.
        """
        names = self.names()
        if not names:
            raise UsageError(f"{self.path}: expected a folder of a study, or run folders, found neither")
        if name is None and len(names) > 1:
            raise UsageError(
                f"{self.path} holds {len(names)} studies: choose one of {', '.join(names)} with --name"
            )
        chosen = name or names[0]
        if chosen not in names:
            raise UsageError(f"{self.path}: no study {chosen!r}; there is {', '.join(names)}")
        return self._read(self.declaration(chosen))

    def declare(self, declared: Json) -> None:
        """Writes what a study declares."""
        write_json(self.declaration(declared["name"]), {"version": VERSION, **declared})

    def record(self, key: str) -> Json:
        """What is on record about the run of a key; empty if nothing is that can be read."""
        path = self._record(key)
        try:
            return self._read(path) if path.is_file() else {}
        except UsageError as error:
            print(f"{error.reason}; the run folder decides", file=sys.stderr)
            return {}

    def write_record(self, key: str, record: Json) -> None:
        """Replaces what is on record about the run of a key."""
        write_json(self._record(key), {"version": VERSION, **record})

    def speed(self, key: str) -> float | None:
        """The seconds of a training step that are kept under a key; None if none are."""
        return self._read(self.speeds).get(key) if self.speeds.is_file() else None

    def keep_speed(self, key: str, seconds: float) -> None:
        """Keeps the seconds of a step, so that a study that is stopped before its first run measures on."""
        known = self._read(self.speeds) if self.speeds.is_file() else {"version": VERSION}
        write_json(self.speeds, {**known, key: seconds})

    def variant(self, name: str) -> Path:
        """The file of a variant's resolved configuration, which a W&B sweep names."""
        return self.path / "variants" / f"{name}.yaml"

    def log(self, run: str) -> Path:
        """The file of what the run in a folder (relative to this one) printed."""
        return self.logs / f"{run.replace('/', '-')}.log"

    def end_of_log(self, run: str) -> str:
        """What a run printed last, as its record keeps it; empty where it has no log."""
        try:
            text = self.log(run).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return text[-TAIL:].strip()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds the folder for this driver; the system lets go of it when the process dies.

        Raises:
            UsageError: If another driver holds it; it says who.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        file = self.path / ".driver"
        lock = locked(file)
        if lock is None:
            holder = file.read_text(encoding="utf-8", errors="replace").strip() or "another process"
            raise UsageError(
                f"{self.path} is held by {holder}: wait for it, stop it, or choose another folder (--out)"
            )
        descriptor, locks = lock
        if not locks:
            print(
                f"{self.path}: this file system has no locks, so that a second driver would not be told: "
                "start one at a time",
                file=sys.stderr,
            )
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            yield
        finally:
            unlock(descriptor)

    def _record(self, key: str) -> Path:
        return self.records / f"{key}.json"

    def _read(self, path: Path) -> Json:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UsageError(f"{path}: expected JSON, found a damaged file ({error}): remove it") from error
        version = content.get("version") if isinstance(content, dict) else None
        if version != VERSION:
            raise UsageError(
                f"{path}: expected version {VERSION} of a study, found {version}: choose another folder"
            )
        found: Json = content
        return found
