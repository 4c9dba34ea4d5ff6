"""Runs a study: starts each run, evaluates it, tries failed ones again, and keeps a record of each."""

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusionseg.files.atomic import Json
from fusionseg.runs.folder import RunFolder
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.launcher import Job, Launcher
from fusionseg.studies.plan import PlannedRun
from fusionseg.studies.slots import Slot
from fusionseg.studies.study_file import Study

TAIL = 2000
"""Characters of a log that a failed run's record keeps."""

PATIENCE = 1.0
"""Seconds between looks at what is running."""


@dataclass
class Progress:
    """What is known of each run while a study runs.

    Attributes:
        total: Runs that the study asks for.
        finished: Runs with figures, those of earlier drivers too.
        running: Folders of the runs that are computed now.
        failed: Folders of the runs that failed for good.
        durations: Seconds of each run that this driver finished.
        scores: The deciding figure of each finished run, by variant.
    """

    total: int
    finished: int = 0
    running: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)

    def seconds_left(self, slots: int) -> float | None:
        """Estimated seconds until the end; None before the first run has ended."""
        if not self.durations:
            return None
        left = self.total - self.finished - len(self.failed) - len(self.running) / 2
        return max(0.0, left) * sum(self.durations) / len(self.durations) / slots

    def best(self) -> tuple[str, float] | None:
        """The variant with the highest mean so far."""
        means = {name: sum(values) / len(values) for name, values in self.scores.items()}
        return max(means.items(), key=lambda item: item[1]) if means else None


@dataclass
class _Active:
    run: PlannedRun
    slot: Slot
    stage: str
    since: float
    attempts: int


class Driver:
    """Runs what is left of a study.

    A run is finished when its evaluation of the epoch that counts can be read; nothing else decides that, so
    that a driver which is killed anywhere forgets nothing. A run that had begun is resumed, also without a
    checkpoint.

    Args:
        study: The study.
        runs: Its runs, in the order in which they are started.
        folder: The folder, which this process holds.
        launcher: Starts processes.
        slots: What the runs are computed on, one at a time each.
        show: Called with what is known whenever that changes, and each second.
        split: The split that is measured: `val`, or `test` in the end.
    """

    def __init__(
        self,
        study: Study,
        runs: Sequence[PlannedRun],
        folder: StudyFolder,
        launcher: Launcher,
        slots: Sequence[Slot],
        show: Callable[[Progress], None],
        split: str = "val",
    ) -> None:
        self.study = study
        self.folder = folder
        self.launcher = launcher
        self.free = list(slots)
        self.show = show
        self.split = split
        self.progress = Progress(len(runs))
        self.active: dict[str, _Active] = {}
        self.waiting: deque[PlannedRun] = deque()
        self.attempts: dict[str, int] = {}
        for run in runs:
            if score := self._figures(run):
                self._count(run, score)
            else:
                self.waiting.append(run)

    def run(self) -> Progress:
        """Runs until nothing is left to do.

        Raises:
            KeyboardInterrupt: After Ctrl-C, when the runs have written their last checkpoints.
        """
        try:
            while self.waiting or self.active:
                self._fill()
                self.show(self.progress)
                for name, code in self._ended().items():
                    self._end(self.active.pop(name), code)
        finally:
            self.launcher.close()
            for active in self.active.values():
                self._record(active.run, "interrupted", active.attempts)
        self.show(self.progress)
        return self.progress

    def _ended(self) -> Mapping[str, int]:
        try:
            return self.launcher.ended(PATIENCE)
        except ChildProcessError as error:
            print(f"{error}; its runs are started again", file=sys.stderr)
            return {name: -9 for name, active in self.active.items() if len(active.slot.devices) <= 1}

    def _fill(self) -> None:
        """Starts runs while there is room; one whose folder another process still trains in waits."""
        for _ in range(len(self.waiting)):
            if not self.free:
                return
            run = self.waiting.popleft()
            claimed = RunFolder(self.folder.path / run.folder).is_claimed()
            if claimed and not self.launcher.takes_over(run.folder):
                self.waiting.append(run)
                continue
            attempts = self.attempts.get(run.key, 0)
            active = _Active(run, self.free.pop(), "", time.monotonic(), attempts)
            self.progress.running.append(run.folder)
            self._start(active)

    def _start(self, active: _Active) -> None:
        """Starts the next process of a run: training, or its evaluation if that is all that is missing."""
        run = active.run
        where = RunFolder(self.folder.path / run.folder)
        trained = where.readable_summary().get("status") == "finished"
        active.stage = "evaluate" if trained else "fit"
        if trained:
            measured = ["--split", self.split, "--checkpoint", self.study.epoch, "--pictures", "2"]
            words = ["--run", str(where.path), *measured]
        elif where.config.is_file():
            words = ["--resume", str(where.path)]
        else:
            words = [*run.arguments, "--out", str(where.path)]
        self._record(run, "running", active.attempts)
        log = self.folder.log(run.folder)
        environment = {
            "WANDB_RUN_GROUP": f"{self.study.name}/{run.variant}",
            "WANDB_JOB_TYPE": "study",
            "WANDB_TAGS": self.study.name,
        }
        self.launcher.start(Job(run.folder, active.stage, words, log, active.slot, environment))
        self.active[run.folder] = active

    def _end(self, active: _Active, code: int) -> None:
        run = active.run
        score = self._figures(run)
        if code == 0 and score is None and active.stage == "fit":
            self._start(active)
            return
        self.free.append(active.slot)
        self.progress.running.remove(run.folder)
        if score is not None:
            seconds = time.monotonic() - active.since
            self.progress.durations.append(seconds)
            self._record(run, "finished", active.attempts, seconds=seconds)
            self._count(run, score)
            return
        attempts = self.attempts[run.key] = active.attempts + 1
        reason = _tail(self.folder.log(run.folder)) or f"exit code {code}"
        if attempts <= self.study.retries:
            self._record(run, "interrupted", attempts, reason=reason)
            self.waiting.append(run)
            return
        self._record(run, "failed", attempts, reason=reason)
        self.progress.failed.append(run.folder)

    def _figures(self, run: PlannedRun) -> Json | None:
        """The figures of a finished run; None if it is not finished."""
        return figures(self.folder.path / run.folder, self.study.epoch, self.split)

    def _count(self, run: PlannedRun, measured: Json) -> None:
        self.progress.finished += 1
        value = measured.get(self.study.metric.removeprefix("val/"))
        if isinstance(value, int | float):
            self.progress.scores.setdefault(run.variant, []).append(value)

    def _record(self, run: PlannedRun, status: str, attempts: int, **more: Any) -> None:
        record = {"folder": run.folder, "status": status, "attempts": attempts, **more}
        try:
            self.folder.write_record(run.key, record)
        except OSError as error:  # of a full disk, for example; the run folder decides
            print(f"{self.folder.path}: {error.strerror}", file=sys.stderr)


def figures(run: Path, epoch: str, split: str = "val") -> Json | None:
    """The figures of an evaluation of the epoch that counts; None if there is none that can be read."""
    path = RunFolder(run).evaluated(split)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        measured = content["metrics"] if content["checkpoint"] == epoch else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return measured if isinstance(measured, dict) else None


def _tail(log: Path) -> str:
    """The end of a log."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text[-TAIL:].strip()
