"""A search from its file to its report, with a worker and the driver killed on the way."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fusionseg.commands import report
from fusionseg.commands.study import main
from fusionseg.studies import collect
from fusionseg.studies.folder import StudyFolder

ROOT = Path(__file__).parents[2]
SEARCH = {
    "space": {
        "model.optimizer.init_args.lr": {"low": 1.0e-3, "high": 1.0e-2, "log": True},
        "model.beta": {"low": 0.25, "high": 4.0, "log": True},
        "data.batch_size": {"low": 2, "high": 4, "step": 2},
    },
    "trials": 6,
    "sampler": {"class_path": "TPESampler", "init_args": {"seed": 1, "n_startup_trials": 2}},
}


def wait_for(found: Callable[[], Any], driver: "subprocess.Popen[bytes]") -> Any:
    """What there is after a while."""
    end = time.monotonic() + 240
    while time.monotonic() < end:
        if value := found():
            return value
        assert driver.poll() is None, "the driver ended"
        time.sleep(0.02)
    raise TimeoutError


def evaluated(out: Path) -> dict[Path, int]:
    """The evaluations that are written, with their times."""
    return {path: path.stat().st_mtime_ns for path in out.glob("trial_*/0/evaluation/last/val.json")}


def worker(out: Path) -> int:
    """The process of a run that trains; 0 if there is none."""
    for claim in out.glob("trial_*/0/.claim"):
        if (claim.parent / "metrics.csv").is_file() and (text := claim.read_text().strip()):
            return int(text)
    return 0


def trials_of(out: Path) -> Any:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    journal = JournalFileBackend(str(StudyFolder(out).journal("lr")))
    return optuna.load_study(study_name="lr", storage=optuna.storages.JournalStorage(journal)).trials


@pytest.mark.slow
@pytest.mark.usefixtures("resolved_here")  # but for those of the driver that is killed
def test_a_search_whose_worker_and_driver_are_killed_goes_on_as_if_nothing_was(
    tmp_path: Path, study_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = [str(study_file("lr", search=SEARCH, budget={"epochs": 2})), "--out", str(out), "--jobs", "2"]
    driver = subprocess.Popen(
        [sys.executable, "-m", "fusionseg", "study", *words], cwd=ROOT, stderr=subprocess.PIPE
    )
    os.kill(wait_for(lambda: worker(out), driver), signal.SIGKILL)
    wait_for(lambda: len(evaluated(out)) >= 2, driver)
    driver.kill()
    driver.communicate()
    begun = [trial.params for trial in trials_of(out)]
    before = evaluated(out)
    assert 2 <= len(before) < 6
    main(words)
    trials = trials_of(out)
    assert [(trial.number, trial.state.name) for trial in trials] == [(n, "COMPLETE") for n in range(6)]
    assert all(old.items() <= new.params.items() for old, new in zip(begun, trials, strict=False))
    assert len({str(trial.params) for trial in trials}) == 6
    assert before.items() <= evaluated(out).items()
    results = collect([out])
    assert [run.variant for run in results.runs] == [f"trial_{number:03d}" for number in range(6)]
    for run, trial in zip(results.runs, trials, strict=True):
        assert run.status == "finished"
        assert trial.value == pytest.approx(run.figures["val/score"])
        with (run.folder / "metrics.csv").open() as file:
            epochs = [row["epoch"] for row in csv.DictReader(file) if row["val/score"]]
        assert len(set(epochs)) == len(epochs) > 0
    capsys.readouterr()
    main([*words, "--dry-run"])
    assert "0 of 6 trials left, 1 run each, and 0 runs of others" in capsys.readouterr().out
    report.main([str(out), "--pictures", "0"])
    page = (out / "report" / "index.html").read_text()
    assert "6 trials of 3 parameters, drawn by TPESampler: 6 complete and 0 pruned." in page
