"""The runs of a search: each trial becomes a variant when there is room for it."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from statistics import fmean
from typing import Any

from fusionseg.config.errors import UsageError
from fusionseg.files.atomic import Json
from fusionseg.runs.folder import RunFolder
from fusionseg.studies.axes import Variant
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.identity import settings_of
from fusionseg.studies.plan import Plan, PlannedRun, arguments, runs_of
from fusionseg.studies.resolve import Resolver
from fusionseg.studies.search.curves import Curve, mean_curve
from fusionseg.studies.search.declaration import Search
from fusionseg.studies.search.storage import TrialStorage
from fusionseg.studies.study_file import Study


@dataclass
class _Trial:
    """A trial that is not told yet: its runs, what the finished seeds reached, and the curves of all."""

    number: int
    runs: Sequence[PlannedRun]
    reached: dict[int, list[float]] = field(default_factory=dict)
    curves: dict[int, Curve] = field(default_factory=dict)


class SearchRuns:
    """Gives the runs of a study with a search: first those that are known, then those of further trials.

    Trials of this folder that an earlier driver left open go on as they were drawn.

    Args:
        plan: The study, which the folder declares.
        folder: The folder, which this process holds.
        resolver: Says what comes of a command line.
        report: Called with a line about each trial that cannot be built.

    Raises:
        UsageError: If the storage cannot be opened, or lacks trials that the folder has runs of.
    """

    def __init__(
        self, plan: Plan, folder: StudyFolder, resolver: Resolver, report: Callable[[str], None]
    ) -> None:
        assert plan.study.search is not None
        self.study: Study = plan.study
        self.search: Search = plan.study.search
        self.folder = folder
        self.resolver = resolver
        self.report = report
        self.storage = TrialStorage(self.search, self.study.name, folder.journal(self.study.name), plan.owner)
        self.open: dict[str, _Trial] = {}
        self.pruned: set[str] = set()
        self._known: deque[Sequence[PlannedRun]] = deque([plan.runs] if plan.runs else [])
        self._known += _by_trial(self._complete(plan))
        self._begun = deque(self.storage.open())
        self.total = len(self.study.seeds) * self._left() + sum(map(len, self._known))

    def take(self) -> Sequence[PlannedRun]:
        """The runs of one more trial that can be built; none where there are none to come."""
        if self._known:
            return self._known.popleft()
        while self._left():
            number = self._begun.popleft() if self._begun else self.storage.ask()
            if runs := self._runs(number):
                return runs
            self.total -= len(self.study.seeds)
        return ()

    def wants(self, run: PlannedRun) -> bool:
        """Whether no trial of the run is given up; asks the pruner where the run came further."""
        trial = self.open.get(run.variant)
        if run.variant in self.pruned or trial is None or self.search.pruner is None:
            return run.variant not in self.pruned
        if trial.curves[run.seed].grew():
            means = mean_curve([curve.values for curve in trial.curves.values()])
            if means and self.storage.report(trial.number, means):
                self._give_up(trial, max(means))
        return run.variant not in self.pruned

    def ended(self, run: PlannedRun, measured: Json | None, reason: str = "") -> None:
        """Tells a trial when its last seed has figures, or the first one failed."""
        trial = self.open.get(run.variant)
        if trial is None:
            return
        names = [one.metric.removeprefix("val/") for one in self.search.objectives]
        values = [(measured or {}).get(name) for name in names]
        known = [float(value) for value in values if isinstance(value, int | float) and isfinite(value)]
        if len(known) < len(values):
            self.open.pop(run.variant)
            self.storage.fail(trial.number, reason or f"expected {' and '.join(names)}, found {values}")
            return
        trial.reached[run.seed] = known
        if len(trial.reached) == len(trial.runs):
            self.open.pop(run.variant)
            means = [fmean(seeds) for seeds in zip(*trial.reached.values(), strict=True)]
            self.storage.complete(trial.number, means)

    def _left(self) -> int:
        """The trials that are to come: those left open, and those not drawn yet."""
        return len(self._begun) + max(0, self.search.trials - len(self.storage.trials()))

    def _complete(self, plan: Plan) -> list[PlannedRun]:
        """The runs of this folder's complete trials."""
        states = [trial.state.name for trial in self.storage.trials()]
        if any(trial["trial"] >= len(states) for trial in plan.trials):
            where = self.search.storage.split("@")[-1] or self.folder.journal(self.study.name)
            raise UsageError(
                f"{where} lacks trials that {self.folder.path} has runs of: bring it back, or use another "
                "--out",
                "search.storage",
            )
        complete = {trial["name"] for trial in plan.trials if states[trial["trial"]] == "COMPLETE"}
        return [
            run for run in trial_runs(self.study, plan.trials, plan.trial_runs) if run.variant in complete
        ]

    def _runs(self, number: int) -> Sequence[PlannedRun]:
        """The runs of a trial; none if it cannot be built, or is an equal of one that was pruned."""
        name = f"trial_{number:03d}"
        declared = self.folder.declared(self.study.name)
        entries = [entry for entry in declared["variants"] if entry["name"] == name]
        if any("error" in entry for entry in entries):
            self.storage.fail(number, entries[0]["error"])
            return ()
        runs: Sequence[PlannedRun] = trial_runs(
            self.study, entries, [run for run in declared["runs"] if run["variant"] == name]
        ) or self._drawn(number, name, declared)
        if not runs:
            return ()
        if any(self.folder.record(run.key).get("status") == "pruned" for run in runs):
            self.storage.prune(number)
            return ()
        metric = self.search.objectives[0].metric
        paths = {run.seed: RunFolder(self.folder.path / run.folder).metrics for run in runs}
        curves = {seed: Curve(path, metric) for seed, path in paths.items()}
        self.open[name] = _Trial(number, runs, curves=curves)
        return runs

    def _drawn(self, number: int, name: str, declared: Json) -> Sequence[PlannedRun]:
        """The runs of a trial that is new to the folder, which declares it."""
        settings, point = self.storage.drawn(number)
        variant = Variant(name, settings, point)
        entry = {"name": name, "trial": number, "settings": settings, "point": point}
        [outcome] = self.resolver([arguments(self.study, variant)])
        if "error" in outcome:
            self.report(f"{name} cannot be built: {outcome['error']} ({_shown(point)})")
            declared["variants"].append({**entry, "error": outcome["error"]})
            self.folder.declare(declared)
            self.storage.fail(number, outcome["error"])
            return ()
        runs = runs_of(self.study, [variant], {name: settings_of(outcome["config"])}, self.folder)
        declared["variants"].append({**entry, "parameters": outcome["parameters"], "steps": outcome["steps"]})
        declared["runs"] += [run.declared() for run in runs]
        self.folder.declare(declared)
        return runs

    def _give_up(self, trial: _Trial, epoch: int) -> None:
        """Prunes a trial, and others whose runs are the same; records it before Optuna knows."""
        keys = {run.key for run in trial.runs}
        for name, other in list(self.open.items()):
            if not keys & {run.key for run in other.runs}:
                continue
            for run in other.runs:
                if run.seed not in other.reached:
                    record = {"folder": run.folder, "status": "pruned", "attempts": 0}
                    self.folder.write_record(run.key, {**record, "reason": f"pruned after epoch {epoch}"})
            self.storage.prune(other.number)
            self.pruned.add(name)
            del self.open[name]


def trial_runs(study: Study, trials: Iterable[Json], runs: Iterable[Json]) -> list[PlannedRun]:
    """The runs of trials as a folder declares them.

    Args:
        study: The study.
        trials: The entries of the trials among its variants.
        runs: The entries of their runs.
    """
    variants = {entry["name"]: Variant(entry["name"], entry["settings"]) for entry in trials}
    return [
        PlannedRun(
            **run, arguments=(*arguments(study, variants[run["variant"]]), f"--seed_everything={run['seed']}")
        )
        for run in runs
    ]


def _by_trial(runs: Iterable[PlannedRun]) -> list[list[PlannedRun]]:
    groups: dict[str, list[PlannedRun]] = {}
    for run in runs:
        groups.setdefault(run.variant, []).append(run)
    return list(groups.values())


def _shown(point: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in point.items())
