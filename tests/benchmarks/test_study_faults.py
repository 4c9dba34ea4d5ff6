from pathlib import Path

import pytest

from benchmarks.study_faults import VICTIMS, Study, check


@pytest.mark.slow
def test_killed_drivers_and_runs_lose_nothing_and_repeat_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(Study(tmp_path, runs=4, jobs=2, seed=5, pause=1), kills=3) == []
    said = capsys.readouterr().out
    assert {f"killed: {whom}" for whom in VICTIMS} <= set(said.splitlines())
    assert "damaged: " in said
    assert "a second driver was refused" in said
