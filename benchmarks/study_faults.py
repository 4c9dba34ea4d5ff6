"""Checks that a study survives being killed, and what else may happen to it, on short synthetic runs.

The driver, one of the processes below it, or all of them are killed by SIGKILL at random moments, and the
same command is started again each time, with a clock that is some hours off. On the way a second driver is
started, result files are cut in half, and the disk is full for a while if the folder lies on a small one
(such as `mount -t tmpfs -o size=4G tmpfs DIR`). In the end every run has to be finished with the metrics of
an undisturbed study, and none may have been computed again that was finished.

    python -m benchmarks.study_faults [--runs 24] [--kills 30] [--jobs 2] [--seed 0] [--folder DIR]
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import yaml

from benchmarks.timing import command_line
from fusionseg.studies import collect

CLOCK = """import os, time
shift = float(os.environ.get("CLOCK_SHIFT", 0))
true = time.time
time.time = lambda: true() + shift
"""
"""A `sitecustomize` with which a process has another time of day."""

VICTIMS = ("driver", "worker", "all")
"""What is killed: the driver, a process below it, or all of them; each as often as the others."""

SMALL_DISK = 4 * 2**30
"""A file system of at most so many bytes is filled."""


class Study:
    """A study of short runs that is disturbed.

    Args:
        folder: An empty folder for all of it.
        runs: How many runs, an even number.
        jobs: Runs at once.
        seed: Of the moments.
        pause: Seconds from the moment that is waited for to a kill at most; at least a tenth of it.
    """

    def __init__(self, folder: Path, runs: int, jobs: int, seed: int, pause: float = 20.0) -> None:
        self.folder = folder
        self.runs = runs
        self.jobs = jobs
        self.pause = pause
        self.random = random.Random(seed)
        self.victims: list[str] = []
        self.whole = folder / "whole"
        self.out = folder / "disturbed"
        self.log = folder / "drivers.log"
        self.file = folder / "short.yaml"
        content = {
            "base": str(Path(__file__).parents[1] / "experiments" / "synthetic.yaml"),
            "settings": {
                "data.dataset.length": 8,
                "data.dataset.size": [32, 32],
                "data.crop_size": [32, 32],
                "data.workers": 0,
            },
            "variants": {"joint": {}, "semantic_only": {"model.region_head": None}},
            "budget": {"epochs": 3},
            "precision": "32-true",
            "seeds": runs // 2,
            "retries": 1000,  # a killed run has failed
        }
        self.file.write_text(yaml.safe_dump(content))
        (folder / "clock").mkdir()
        (folder / "clock" / "sitecustomize.py").write_text(CLOCK)

    def started(self, out: Path, shift: float = 0.0) -> "subprocess.Popen[bytes]":
        """A driver whose clock is off by some seconds."""
        command = [sys.executable, "-m", "fusionseg", "study", str(self.file), "--out", str(out)]
        paths = [str(self.folder / "clock"), *filter(None, [os.environ.get("PYTHONPATH")])]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "CLOCK_SHIFT": str(shift)}
        with self.log.open("ab") as log:
            return subprocess.Popen([*command, "--jobs", str(self.jobs)], stdout=log, stderr=log, env=env)

    def finished(self) -> dict[Path, int]:
        """The evaluations that can be read, with their times."""
        written = self.out.glob("*/*/evaluation/last/val.json")
        return {path: path.stat().st_mtime_ns for path in written if _read(path)}

    def kill(self, driver: "subprocess.Popen[bytes]") -> str:
        """Kills the driver, a process below it, or all; says which."""
        below = psutil.Process(driver.pid).children(recursive=True)
        if not self.victims:
            self.victims = self.random.sample(VICTIMS, len(VICTIMS))
        whom = self.victims.pop()
        victims = [process.pid for process in below]
        if whom == "worker":
            victims = [self.random.choice(victims or [driver.pid])]
        elif whom == "driver":
            victims = [driver.pid]
        else:
            victims.append(driver.pid)
        for victim in victims:
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:  # it ended meanwhile
                continue
        if driver.pid in victims:
            driver.wait()
        return whom

    def disturb(self, kills: int) -> Iterator[str]:
        """Runs the study to its end and disturbs it; gives what happened.

        Raises:
            RuntimeError: If a run was computed again, or the study does not end.
        """
        known: dict[Path, int] = {}
        others = [self.second_driver, self.fill_disk]
        # as a run begins, as one ends, or whenever else, as while modules are imported
        moments = cycle((self.begun, None, self.finished, None))
        damaged = False
        for _ in range(10 * kills + 10):
            undisturbed = not kills
            driver = self.started(self.out, self.random.uniform(-12, 12) * 3600)
            while driver.poll() is None:
                if kills:
                    self.wait(driver, next(moments))
                if kills and driver.poll() is None:
                    yield f"killed: {self.kill(driver)}"
                    kills -= 1
                if others and len(self.begun()) > 1 and self.is_held_by(driver):
                    yield others.pop()()
                time.sleep(0.1)
            done = self.finished()
            if again := [path for path, when in known.items() if done.get(path) != when]:
                raise RuntimeError(f"computed twice, or lost: {again}")
            known = done
            if known and not damaged:
                damaged = True
                yield self.damage(known)
            elif driver.returncode == 0:
                return
            elif undisturbed:
                raise RuntimeError(f"the study ends with {driver.returncode}: {self.log.read_text()[-2000:]}")
        raise RuntimeError("the study does not end")

    def begun(self) -> dict[Path, int]:
        """The summaries of runs that have begun, with the times at which they were last written."""
        return {path: path.stat().st_mtime_ns for path in self.out.glob("*/*/summary.json")}

    def wait(self, driver: "subprocess.Popen[bytes]", seen: Callable[[], object] | None) -> None:
        """Waits until what is seen changes, if anything is looked at, and some seconds from then."""
        before = seen() if seen else None
        while seen and seen() == before and driver.poll() is None:
            time.sleep(0.02)
        time.sleep(self.random.uniform(self.pause / 10, self.pause))

    def is_held_by(self, driver: "subprocess.Popen[bytes]") -> bool:
        """Whether a driver lives and holds the folder."""
        return driver.poll() is None and f"process {driver.pid} " in (self.out / ".driver").read_text()

    def second_driver(self) -> str:
        """Starts a second driver beside the first one, which has to be refused."""
        second = self.started(self.out)
        if second.wait() != 2 or "is held by process" not in self.log.read_text():
            raise RuntimeError(f"a second driver was not refused: {self.log.read_text()[-2000:]}")
        return "a second driver was refused"

    def damage(self, known: dict[Path, int]) -> str:
        """Cuts an evaluation in half, which has to be made again, and a record, which is not needed."""
        path = sorted(self.finished())[0]
        known.pop(path, None)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        record = sorted((self.out / "runs").glob("*.json"))[0]
        record.write_bytes(record.read_bytes()[: record.stat().st_size // 2])
        return f"damaged: {path.relative_to(self.out)} and {record.relative_to(self.out)}"

    def fill_disk(self) -> str:
        """Fills the disk for some seconds."""
        if shutil.disk_usage(self.folder).total > SMALL_DISK:
            return "the disk is large and was not filled"
        filler = self.folder / "filler"
        with filler.open("wb") as file:
            try:
                while True:
                    file.write(bytes(2**20))
                    file.flush()
            except OSError:
                time.sleep(8)
        filler.unlink()
        return "the disk was full for 8 seconds"

    def differences(self) -> list[str]:
        """What differs from the undisturbed study."""
        found = []
        for run in collect([self.whole]).runs:
            other = self.out / run.folder.relative_to(self.whole)
            for name in ("evaluation/last/val.json", "metrics.csv"):
                if (run.folder / name).read_bytes() != (other / name).read_bytes():
                    found.append(f"{run.variant}/{run.seed}: {name}")
        statuses = [run.status for run in collect([self.out]).runs]
        return found if statuses == ["finished"] * self.runs else [*found, f"runs are {statuses}"]


def check(study: Study, kills: int) -> list[str]:
    """Runs a study undisturbed and disturbed; what differs.

    Raises:
        RuntimeError: If a study fails, or a run is computed twice.
    """
    if study.started(study.whole).wait():
        raise RuntimeError(f"the undisturbed study failed: {study.log.read_text()[-2000:]}")
    for event in study.disturb(kills):
        print(event, flush=True)
    return study.differences()


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text())
    except ValueError:
        return None


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="existing folder to work in")
    args = parser.parse_args()
    with TemporaryDirectory(dir=args.folder) as folder:
        found = check(Study(Path(folder), args.runs, args.jobs, args.seed), args.kills)
    print("\n".join(found) or f"{args.runs} runs are finished, each once, and equal those left alone")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
