"""A study whose driver and runs are killed at random moments ends as one that was left alone."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fusionseg.studies import collect


def started(file: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "fusionseg", "study", str(file), "--out", str(out), "--jobs", "2"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def figures(out: Path) -> dict[str, dict]:
    """The content of every run's evaluation; `None` stands for NaN there, which is equal to itself."""
    runs = collect([out]).runs
    assert {run.status for run in runs} == {"finished"}
    files = {f"{run.variant}/{run.seed}": run.folder / "evaluation" / "val.json" for run in runs}
    return {name: json.loads(file.read_text()) for name, file in files.items()}


def killed(driver: subprocess.Popen[bytes], chance: random.Random) -> None:
    """Kills the driver, or one of the processes below it."""
    below = psutil.Process(driver.pid).children(recursive=True)
    victim = chance.choice([driver.pid, *[process.pid for process in below]])
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:  # it ended meanwhile
        return


@pytest.mark.slow
def test_killed_drivers_and_runs_lose_nothing_and_repeat_nothing(
    tmp_path: Path, study_file: Callable[..., Path]
) -> None:
    variants = {"joint": {}, "semantic": {"model.region_head": None}}
    file = study_file(variants=variants, budget={"epochs": 3}, seeds=2)
    assert started(file, tmp_path / "undisturbed").wait() == 0
    chance = random.Random(0)
    out = tmp_path / "killed"
    finished: dict[str, float] = {}
    kills = 0
    for _ in range(30):
        driver = started(file, out)
        while driver.poll() is None and kills < 6:
            time.sleep(chance.uniform(2, 12))
            if driver.poll() is None:
                killed(driver, chance)
                kills += 1
        code = driver.wait()
        for path, written in finished.items():
            assert Path(path).stat().st_mtime == written, f"{path} was paid twice"
        found = out.glob("*/*/evaluation/val.json")
        finished = {str(path): path.stat().st_mtime for path in found if json.loads(path.read_text())}
        if code == 0:
            break
    assert kills
    assert len(finished) == 4
    assert figures(out) == figures(tmp_path / "undisturbed")
