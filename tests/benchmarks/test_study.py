from pathlib import Path

import pytest

from benchmarks import study


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


@pytest.mark.slow
def test_a_study_and_a_loop_train_and_evaluate_every_run() -> None:
    study.run(study.LOOP, study.grid(1, 1))
    driver, waits = study.own_share(study.grid(2, 1))
    assert driver > 0
    assert len(waits) == 2
    assert all(wait > 0 for wait in waits)
