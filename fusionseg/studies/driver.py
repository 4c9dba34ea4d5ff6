"""Runs a study: starts each run, evaluates it, tries failed ones again, and keeps a record of each."""

import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fusionseg.files.atomic import Json
from fusionseg.metrics.directions import lower_is_better
from fusionseg.runs.evaluations import figures
from fusionseg.runs.folder import RunFolder
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.launcher import Job, Launcher
from fusionseg.studies.plan import PlannedRun
from fusionseg.studies.progress import Progress
from fusionseg.studies.report.score_parts import score_parts
from fusionseg.studies.slots import Slot
from fusionseg.studies.sources import Source
from fusionseg.studies.study_file import Study

PATIENCE = 1.0
"""Seconds between looks at what is running."""


@dataclass
class _Active:
    run: PlannedRun
    slot: Slot
    stage: str
    since: float
    attempts: int
    pruned: bool = False


class Driver:
    """Runs what is left of a study.

    A run is finished when its evaluation of the epoch that counts can be read; nothing else decides that, so
    that a driver which is killed anywhere forgets nothing. A run that had begun is resumed, also without a
    checkpoint.

    Args:
        study: The study.
        source: Gives its runs, in the order in which they are started.
        folder: The folder, which this process holds.
        launcher: Starts processes.
        slots: What the runs are computed on, one at a time each.
        show: Called with what is known whenever that changes, and each second.
        split: The split that is measured: `val`, or `test` in the end.
        trust: Packages of the user's own that the study names.
    """

    def __init__(
        self,
        study: Study,
        source: Source,
        folder: StudyFolder,
        launcher: Launcher,
        slots: Sequence[Slot],
        show: Callable[[Progress], None],
        split: str = "val",
        trust: Sequence[str] = (),
    ) -> None:
        self.study = study
        self.source = source
        self.folder = folder
        self.launcher = launcher
        self.free = list(slots)
        self.show = show
        self.split = split
        self.trusting = ["--trust", ",".join(trust)] if trust else []
        self.records = split == "val"  # a later evaluation says nothing of what became of the runs
        self.progress = Progress(source.total, lower_is_better(study.metric))
        self.active: dict[str, _Active] = {}
        self.waiting: deque[PlannedRun] = deque()
        self.attempts: dict[str, int] = {}

    def run(self) -> Progress:
        """Runs until nothing is left to do.

        Raises:
            KeyboardInterrupt: After Ctrl-C, when the runs have written their last checkpoints.
        """
        try:
            while self._take():
                self._fill()
                self.show(self.progress)
                for name, code in self._ended().items():
                    self._end(self.active.pop(name), code)
                self._prune()
        finally:
            self.launcher.close()
            for active in self.active.values():
                if not active.pruned:
                    self._record(active.run, "interrupted", active.attempts)
        self.show(self.progress)
        return self.progress

    def _ended(self) -> Mapping[str, int]:
        try:
            return self.launcher.ended(PATIENCE)
        except ChildProcessError as error:
            print(f"{error}; its runs are started again", file=sys.stderr)
            return {name: -9 for name, active in self.active.items() if active.slot.processes == 1}

    def _take(self) -> bool:
        """Takes runs from the source while there is room for more; whether there is anything left to do."""
        while len(self.waiting) < len(self.free) and (runs := self.source.take()):
            self.waiting.extend(run for run in runs if not self._counted(run))
        self.progress.total = self.source.total
        return bool(self.waiting or self.active)

    def _fill(self) -> None:
        """Starts runs while there is room; one whose folder another process still trains in waits."""
        self.progress.waiting = {}
        for _ in range(len(self.waiting)):
            if not self.free:
                return
            run = self.waiting.popleft()
            if not self.source.wants(run):
                self.progress.pruned.append(run.folder)
                continue
            trainer = RunFolder(self.folder.path / run.folder).trained_by()
            if run.folder in self.active or (trainer and not self.launcher.takes_over(run.folder)):
                if run.folder not in self.active:
                    self.progress.waiting[run.folder] = trainer
                self.waiting.append(run)
                continue
            if self._counted(run):  # an equal one was computed since
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
            words = ["--run", str(where.path), *measured, *self.trusting]
        elif where.config.is_file():
            words = ["--resume", str(where.path), *self.trusting]
        else:
            words = [*run.arguments, "--out", str(where.path)]
        self._record(run, "running", active.attempts)
        log = self.folder.log(run.folder)
        environment = {
            "WANDB_NAME": run.folder,
            "WANDB_RUN_GROUP": f"{self.study.name}/{run.variant}",
            "WANDB_JOB_TYPE": "study",
            "WANDB_TAGS": self.study.name,
        }
        self.launcher.start(Job(run.folder, active.stage, words, log, active.slot, environment))
        self.active[run.folder] = active

    def _prune(self) -> None:
        """Stops the trainings that the source gives up."""
        for active in self.active.values():
            if active.stage == "fit" and not active.pruned and not self.source.wants(active.run):
                active.pruned = True
                self.launcher.stop(active.run.folder)

    def _end(self, active: _Active, code: int) -> None:
        run = active.run
        if active.pruned:
            self.free.append(active.slot)
            self.progress.running.remove(run.folder)
            self.progress.pruned.append(run.folder)
            return
        score = self._figures(run)
        trained = RunFolder(self.folder.path / run.folder).readable_summary().get("status") == "finished"
        if code == 0 and score is None and active.stage == "fit" and trained:
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
        reason = self.folder.end_of_log(run.folder) or f"exit code {code}"
        if attempts <= self.study.retries:
            self._record(run, "interrupted", attempts, reason=reason)
            self.waiting.append(run)
            return
        self._record(run, "failed", attempts, reason=reason)
        self.progress.failed.append(run.folder)
        self.source.ended(run, None, reason)

    def _counted(self, run: PlannedRun) -> bool:
        """Whether a run is finished, which is then counted, and recorded if a driver died before it was."""
        score = self._figures(run)
        if score is None:
            return False
        record = self.folder.record(run.key)
        if self.records and isinstance(seconds := record.get("seconds"), int | float):
            self.progress.durations.append(seconds)
        if record.get("status") != "finished":
            self._record(run, "finished", record.get("attempts", 0))
        self._count(run, score)
        return True

    def _figures(self, run: PlannedRun) -> Json | None:
        """The figures of a finished run; None if it is not finished."""
        return figures(self.folder.path / run.folder, self.study.epoch, self.split)

    def _count(self, run: PlannedRun, measured: Json) -> None:
        self.progress.finished += 1
        value = measured.get(self.study.metric.removeprefix("val/"))
        if isinstance(value, int | float):
            self.progress.scores.setdefault(run.variant, []).append(value)
        if self.study.metric == "val/score":
            known = {f"val/{name}": value for name, value in measured.items() if value is not None}
            self.progress.tasks.add(score_parts(known, "val"))
        self.source.ended(run, measured)

    def _record(self, run: PlannedRun, status: str, attempts: int, **more: Any) -> None:
        if not self.records:
            return
        record = {"folder": run.folder, "status": status, "attempts": attempts, **more}
        try:
            self.folder.write_record(run.key, record)
        except OSError as error:  # of a full disk, for example; the run folder decides
            print(f"{self.folder.path}: {error.strerror}", file=sys.stderr)
