from pathlib import Path

import pytest

from fusionseg.studies import speed
from fusionseg.studies.folder import StudyFolder


def test_steps_are_measured_once_for_each_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"--model.beta=1": 0.5, "--model.beta=a b": 1000.0}
    measured: list[str] = []

    def one_step(arguments: list[str], steps: int) -> float:
        assert steps == speed.STEPS
        measured.append(arguments[0])
        return seconds[arguments[0]]

    monkeypatch.setattr(speed, "seconds_per_step", one_step)
    reports: list[str] = []
    for _ in range(2):  # the second time as after the driver was killed while it measured
        folder = StudyFolder(tmp_path)
        steps = [
            speed.steps_within([word], word, 2, folder, lambda word=word: reports.append(word))
            for word in seconds
        ]
        assert steps == [240, 1]
        assert [speed.step_seconds([word], word, folder, reports.clear) for word in seconds] == [0.5, 1000.0]
    assert measured == reports == list(seconds)
    assert speed.step_seconds(["--model.beta=1"], "changed", folder, reports.clear) == 0.5
    assert measured[2:] == ["--model.beta=1"]
    assert StudyFolder(tmp_path).names() == []


def test_no_more_steps_are_measured_than_a_run_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    monkeypatch.setattr(speed, "seconds_per_step", lambda words, steps: measured.append(steps) or 1.0)
    folder = StudyFolder(tmp_path)
    for steps in (8, 1000, None):
        speed.step_seconds([], str(steps), folder, list[str]().clear, steps)
    assert measured == [8, speed.STEPS, speed.STEPS]
