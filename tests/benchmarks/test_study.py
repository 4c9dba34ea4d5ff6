import shlex
from pathlib import Path

import pytest

from benchmarks import study
from fusionseg.commands import evaluate, fit


def test_every_way_runs_the_same_trainings(tmp_path: Path) -> None:
    cells = study.grid(2, 3)
    lines = study.commands(cells, tmp_path)
    assert len(lines) == len(cells) == 6
    assert {"--model.beta=0.5", "--model.beta=1.5"} == {
        word for line in lines for word in line.split() if "beta=" in word
    }
    assert (tmp_path / "lines.txt").exists() is False
    study.by_loop(cells, tmp_path)
    assert (tmp_path / "lines.txt").read_text().splitlines() == lines
    assert all(repr(line) in study.by_optuna(cells, tmp_path)[2] for line in lines)


def test_a_way_that_fails_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(study.WAYS, "broken", lambda *_: ["false"])
    with pytest.raises(RuntimeError, match="broken failed"):
        study.run("broken", study.grid(1, 1))


def test_a_loop_runs_both_commands_of_each_run_and_is_not_timed_without_their_evaluations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(study, "FIT", "mkdir -p {out}/evaluation/last")
    monkeypatch.setattr(study, "EVALUATE", "touch {out}/evaluation/last/val.json")
    study.run(study.LOOP, study.grid(2, 2))
    monkeypatch.setattr(study, "EVALUATE", "true")
    with pytest.raises(RuntimeError, match="loop of the shell failed"):
        study.run(study.LOOP, study.grid(2, 2))


@pytest.mark.slow
def test_the_commands_of_a_run_train_and_evaluate_it(tmp_path: Path) -> None:
    [line] = study.commands(study.grid(1, 1), tmp_path)
    training, evaluation = (shlex.split(command) for command in line.split("&&"))
    assert (training[1:3], evaluation[1:3]) == (["-m", "fusionseg.fit"], ["-m", "fusionseg.evaluate"])
    fit.main(training[3:])
    evaluate.main(evaluation[3:])
    assert (tmp_path / "beta_0.5" / "0" / "evaluation" / "last" / "val.json").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("resolved_here")
def test_the_share_of_a_study_is_measured_of_every_run() -> None:
    driver, waits = study.own_share(study.grid(2, 1))
    assert driver > 0
    assert len(waits) == 2
    assert all(wait > 0 for wait in waits)
