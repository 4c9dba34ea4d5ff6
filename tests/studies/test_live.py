"""What is shown of a study while it runs."""

import io

import pytest
from rich.console import Console

from fusionseg.studies.live import Display
from fusionseg.studies.progress import Progress


def drawn(progress: Progress) -> str:
    """What a terminal is sent."""
    screen = io.StringIO()
    display = Display("fusing", slots=2)
    display.console = Console(file=screen, force_terminal=True, color_system=None, width=70)
    with display:
        display.show(progress)
        assert display.live is not None
        display.live.refresh()
    return screen.getvalue()


def test_a_terminal_has_a_table_of_runs_best_and_time_left() -> None:
    progress = Progress(
        9,
        finished=3,
        running=["joint/1", "semantic_only/1"],
        failed=["joint/0"],
        durations=[60.0, 60.0, 60.0],
        scores={"joint": [0.5], "wide": [0.7]},
    )
    rows = {
        cells[1].strip(): cells[2].strip()
        for line in drawn(progress).splitlines()
        if len(cells := line.split("│")) == 4
    }
    assert rows["runs finished"] == "3 of 9"
    assert rows["running"] == "joint/1"
    assert rows[""] == "semantic_only/1"
    assert rows["failed"] == "joint/0"
    assert rows["best so far"] == "wide  0.7000"
    # 9 runs without 3 that are finished, 1 that failed and half of 2 that are running, a minute each, 2 at once
    assert rows["time left"] == "2 min 00 s"
    assert "pruned" not in rows


def test_a_run_that_waits_for_another_process_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(2, waiting={"joint/0": "process 12"})
    assert "waiting for joint/0, which process 12 trains in" in drawn(progress)
    with Display("fusing", slots=1) as display:
        display.show(progress)
    assert "waiting for joint/0, which process 12 trains in  left" in capsys.readouterr().err


def test_without_a_terminal_there_is_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    with Display("fusing", slots=1) as display:
        display.show(Progress(2, running=["joint/0"]))
        display.show(Progress(2, running=["joint/0"]))
        display.show(Progress(2, finished=1, running=["joint/1"], durations=[100.0], scores={"joint": [0.5]}))
    assert capsys.readouterr().err.splitlines() == [
        "fusing: 0 of 2 runs  1 running  left unknown",
        "fusing: 1 of 2 runs  1 running  best joint 0.5000  left 0 min 50 s",
    ]
