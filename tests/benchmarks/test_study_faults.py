from pathlib import Path

import pytest

from benchmarks.study_faults import Study, check


@pytest.mark.slow
def test_killed_drivers_and_runs_lose_nothing_and_repeat_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(Study(tmp_path, runs=4, jobs=2, seed=1, pause=8), kills=3) == []
    said = capsys.readouterr().out
    assert said.count("killed: ") > 1
    assert "damaged: " in said
