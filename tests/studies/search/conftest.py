"""A search against a launcher that writes what a run writes, at once, and with a resolver that builds nothing."""

import csv
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from fusionseg.runs.folder import RunFolder
from fusionseg.studies.driver import Driver
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.launcher import Job
from fusionseg.studies.plan import Plan, planned
from fusionseg.studies.progress import Progress
from fusionseg.studies.search.runs import SearchRuns
from fusionseg.studies.slots import Slot
from fusionseg.studies.study_file import Study, read_study

SPACE = {
    "model.optimizer.init_args.lr": {"low": 1.0e-4, "high": 1.0e-2, "log": True},
    "model.beta": {"low": 0.1, "high": 4},
    "model.backbone.decoder": ["Unet", "SlimUnet"],
    "data.batch_size": {"low": 4, "high": 16, "step": 4},
}


class Killed(BaseException):
    """The driver dies here, wherever that is."""


def value_of(arguments: Sequence[str], key: str) -> Any:
    """What a command line sets."""
    return next(yaml.safe_load(word.partition("=")[2]) for word in arguments if word.startswith(f"--{key}="))


def configuration(arguments: Sequence[str]) -> str:
    """What arguments `--key=value` set, as YAML."""
    pairs = (word[2:].partition("=") for word in arguments if word.startswith("--") and "=" in word)
    return yaml.safe_dump({key: yaml.safe_load(value) for key, _, value in pairs})


class FakeResolver:
    """Resolves the arguments to themselves; `broken` says which cannot be built."""

    def __init__(self, broken: Callable[[Sequence[str]], bool] = lambda _: False) -> None:
        self.broken = broken

    def __call__(self, commands: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
        return [self._resolved(command) for command in commands]

    def _resolved(self, command: Sequence[str]) -> dict[str, Any]:
        if self.broken(command):
            return {"error": "an impossible combination"}
        found = {"config": configuration(command), "precision": "32-true", "parameters": 10, "steps": 5}
        return {**found, "figures": ["val/score", "val/miou", "val/voi"]}


class FakeLauncher:
    """Finishes jobs in the order of a random generator, after one epoch at each look; all runs score beta / 10."""

    def __init__(self, dies_after: int = 10**9, seed: int = 0, epochs: int = 4) -> None:
        self.jobs: list[Job] = []
        self.started: list[Job] = []
        self.stopped: list[str] = []
        self.epochs = epochs
        self.left = dies_after
        self.random = random.Random(seed)
        self.fails: Callable[[Job], bool] = lambda _: False

    def start(self, job: Job) -> None:
        self._live()
        self.jobs.append(job)
        self.started.append(job)

    def stop(self, name: str) -> None:
        self.stopped.append(name)

    def ended(self, seconds: float) -> dict[str, int]:
        self._live()
        for job in self.jobs:
            if job.name in self.stopped:
                self.jobs.remove(job)
                return {job.name: 0}
        if not self.jobs:
            return {}
        job = self.jobs[self.random.randrange(len(self.jobs))]
        if job.command == "fit" and not self.fails(job) and self._epoch(job) < self.epochs:
            return {}
        self.jobs.remove(job)
        if self.fails(job):
            return {job.name: 1}
        self._write(job)
        return {job.name: 0}

    def close(self) -> None:
        self.jobs.clear()

    def _live(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    def _run(self, job: Job) -> RunFolder:
        words = list(job.arguments)
        flag = {"fit": "--resume" if "--resume" in words else "--out", "evaluate": "--run"}[job.command]
        run = RunFolder(words[words.index(flag) + 1])
        run.path.mkdir(parents=True, exist_ok=True)
        if "--out" in words:
            run.config.write_text(configuration(words))
        return run

    def _epoch(self, job: Job) -> int:
        """Trains an epoch more and returns how many there are."""
        run = self._run(job)
        epochs = len(run.metrics.read_text().splitlines()) - 1 if run.metrics.is_file() else 0
        with run.metrics.open("a", newline="") as file:
            writer = csv.writer(file)
            if not epochs:
                writer.writerow(["epoch", "step", "val/score"])
            writer.writerow(
                [epochs, 10 * epochs + 9, yaml.safe_load(run.config.read_text())["model.beta"] / 10]
            )
        return epochs + 1

    def _write(self, job: Job) -> None:
        run = self._run(job)
        if job.command == "fit":
            run.summary.write_text(json.dumps({"status": "finished", "seconds": 30.0}))
            return
        score = yaml.safe_load(run.config.read_text())["model.beta"] / 10
        metrics = {"score": score, "miou": score, "voi": 1 - score}
        file = run.evaluated("val", "last")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"metrics": metrics, "per_class": {}, "checkpoint": "last"}))


class Searching:
    """A study with a search in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "lr.yaml"
        self.folder = StudyFolder(folder / "out")
        self.reported: list[str] = []

    def study(self, seeds: Sequence[int] = (0,), variants: Any = None, **search: Any) -> Study:
        content = {"search": {"space": SPACE, "trials": 8, **search}, "seeds": list(seeds)}
        content |= {"variants": variants} if variants else {}
        self.file.write_text(yaml.safe_dump(content, sort_keys=False))
        return read_study(self.file)

    def plan(self, study: Study) -> Plan:
        resolver = FakeResolver()
        found = {v.name: resolver([[f"--{k}={x}" for k, x in v.settings.items()]])[0] for v in study.variants}
        return planned(study, found, {}, self.folder, resolver([["--model.alpha=1"]])[0])

    def run(
        self, study: Study, launcher: FakeLauncher | None = None, resolver: Any = None, slots: int = 2
    ) -> Progress:
        with self.folder.held():
            plan = self.plan(study)
            self.folder.declare(plan.declared())
            source = SearchRuns(plan, self.folder, resolver or FakeResolver(), self.reported.append)
            launcher = launcher or FakeLauncher()
            return Driver(study, source, self.folder, launcher, [Slot()] * slots, lambda _: None).run()

    def trials(self, storage: str = "") -> Any:
        """The trials in Optuna's storage."""
        import optuna
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        journal = JournalFileBackend(str(self.folder.journal("lr")))
        made: Any = storage or optuna.storages.JournalStorage(journal)
        return optuna.load_study(study_name="lr", storage=made).trials


@pytest.fixture
def searching(tmp_path: Path) -> Searching:
    """A study with a search."""
    return Searching(tmp_path)


@pytest.fixture(scope="session")
def fakes() -> Any:
    """The classes `FakeLauncher`, `FakeResolver` and `Killed`, and `value_of`."""
    from types import SimpleNamespace

    return SimpleNamespace(launcher=FakeLauncher, resolver=FakeResolver, killed=Killed, value_of=value_of)
