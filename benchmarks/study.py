"""Times a study side by side with other ways to run the same grid, and the study's own share.

The grid has some variants over some seeds of a short training on synthetic scenes, two runs at once, a thread
each. Every way trains each run and evaluates its last epoch: `fusionseg study`; a loop of the shell over both
commands (`xargs -P 2`); Optuna's grid sampler with an objective that starts the two commands, in two threads.
The ways take turns, and the ratio is that of wall time to the loop's.

Then, of one study: the driver's own CPU time for each run (aim: 1 s), and the time from a run's launch to the
end of its first step (aim: 2 s), without the first runs, before which the modules are imported once.

    python -m benchmarks.study [--rounds 3] [--variants 3] [--seeds 2]
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.first_step import NAME
from benchmarks.timing import Target, command_line, ratios, show
from fusionseg.commands.fit import SYNTHETIC
from fusionseg.studies.driver import Driver
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.launcher import Job
from fusionseg.studies.local_launcher import LocalLauncher
from fusionseg.studies.prepare import prepared
from fusionseg.studies.resolve import Resolver
from fusionseg.studies.slots import slots
from fusionseg.studies.sources import FixedRuns

LOOP = "loop of the shell"
JOBS = 2
SMALL: dict[str, Any] = {
    "data.dataset.length": 16,
    "data.dataset.size": [64, 64],
    "data.crop_size": [64, 64],
    "data.workers": 0,
    "trainer.max_epochs": 1,
    "trainer.precision": "32-true",
    "trainer.callbacks": "benchmarks.first_step.FirstStep",
}
OWN = ("trainer.precision", "trainer.max_epochs")
"""What a study has keys of its own for."""

FIT = (
    "{python} -m fusionseg.fit --config {config} {settings} --model.beta={beta} --seed_everything={seed} "
    "--out {out}"
)
EVALUATE = "{python} -m fusionseg.evaluate --run {out} --checkpoint last --pictures 2 --trust benchmarks"
ENVIRONMENT = {**os.environ, "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1"}


class TimedLauncher(LocalLauncher):
    """Notes when each training is launched."""

    def __init__(self) -> None:
        super().__init__()
        self.launched: dict[str, float] = {}

    def start(self, job: Job) -> None:
        """Starts a job."""
        self.launched.setdefault(job.name, time.time())
        super().start(job)


def grid(variants: int, seeds: int) -> list[tuple[float, int]]:
    """Each weight of the region loss with each seed."""
    return [(0.5 + i, seed) for i in range(variants) for seed in range(seeds)]


def by_study(cells: list[tuple[float, int]], folder: Path) -> list[str]:
    """The command that runs the grid as a study."""
    variants = {f"beta_{beta:g}": {"model.beta": beta} for beta, _ in cells}
    content = {
        "base": str(SYNTHETIC),
        "settings": {key: value for key, value in SMALL.items() if key not in OWN},
        "precision": SMALL["trainer.precision"],
        "budget": {"epochs": SMALL["trainer.max_epochs"]},
        "variants": variants,
        "seeds": sorted({seed for _, seed in cells}),
    }
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(content))
    words = ["study", str(file), "--out", str(folder / "runs"), "--jobs", str(JOBS)]
    return [sys.executable, "-m", "fusionseg", *words]


def commands(cells: list[tuple[float, int]], folder: Path) -> list[str]:
    """A line for the shell for each run: training, then evaluation."""
    settings = " ".join(f"'--{key}={value}'" for key, value in SMALL.items())
    lines = []
    for beta, seed in cells:
        out = folder / f"beta_{beta:g}" / str(seed)
        names = {"python": sys.executable, "config": SYNTHETIC, "settings": settings, "out": out}
        lines.append(f"{FIT} && {EVALUATE}".format(beta=beta, seed=seed, **names))
    return lines


def by_loop(cells: list[tuple[float, int]], folder: Path) -> list[str]:
    """The command that runs the grid as a loop of the shell, two runs at once."""
    file = folder / "lines.txt"
    file.write_text("\n".join(commands(cells, folder)))
    return ["xargs", "--arg-file", str(file), "-d", "\n", "-P", str(JOBS), "-n", "1", "sh", "-c"]


def by_optuna(cells: list[tuple[float, int]], folder: Path) -> list[str]:
    """The command that runs the grid in Optuna's way: an objective that starts commands, in two threads."""
    script = f"""
import subprocess, optuna
lines = {dict(zip(map(str, cells), commands(cells, folder), strict=True))!r}
space = {{"beta": {sorted({beta for beta, _ in cells})}, "seed": {sorted({seed for _, seed in cells})}}}
def objective(trial):
    cell = tuple(trial.suggest_categorical(name, values) for name, values in space.items())
    subprocess.run(["sh", "-c", lines[str(cell)]], check=True)
    return 0.0
storage = "sqlite:///{folder}/trials.db"
study = optuna.create_study(storage=storage, sampler=optuna.samplers.GridSampler(space))
study.optimize(objective, n_trials={len(cells)}, n_jobs={JOBS})
"""
    return [sys.executable, "-c", script]


WAYS = {LOOP: by_loop, "fusionseg study": by_study, "Optuna's grid": by_optuna}


def run(way: str, cells: list[tuple[float, int]]) -> None:
    """Runs the grid in one way, in a folder of its own.

    Raises:
        RuntimeError: If it fails, or not all runs have their evaluation.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done = subprocess.run(
            WAYS[way](cells, folder),
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        measured = list(folder.rglob("evaluation/last/val.json"))
        if done.returncode or len(measured) != len(cells):
            raise RuntimeError(f"{way} failed, so that its time would mean nothing:\n{done.stderr[-2000:]}")


def own_share(cells: list[tuple[float, int]]) -> tuple[float, list[float]]:
    """The driver's CPU seconds for each run, and the seconds from launch to first step of each in order."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = Path(by_study(cells, folder)[4])
        place = StudyFolder(folder / "runs")
        launcher = TimedLauncher()
        with place.held(), Resolver() as resolver:
            plan = prepared(file, place, lambda _: None, resolver)
            place.declare(plan.declared())
            begin = time.process_time()
            Driver(plan.study, FixedRuns(plan.runs), place, launcher, slots(JOBS, 0), lambda _: None).run()
            used = time.process_time() - begin
        waits = [
            float((place.path / planned.folder / NAME).read_text()) - launcher.launched[planned.folder]
            for planned in plan.runs
        ]
    return used / len(cells), waits


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variants", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    if args.variants * args.seeds <= JOBS:
        parser.error(f"expected more than {JOBS} runs")
    os.environ.update(ENVIRONMENT)
    cells = grid(args.variants, args.seeds)
    calls = {way: partial(run, way, cells) for way in WAYS}
    title = f"wall time of {len(cells)} runs, {JOBS} at once"
    show(title, ratios(calls, LOOP, args.rounds), {"fusionseg study": Target(1.0)})
    driver, waits = own_share(cells)
    table = Table("share of the study", "seconds", "aim")
    table.add_row("CPU time of the driver for each run", f"{driver:.3f}", "1")
    later = statistics.median(waits[JOBS:])
    table.add_row("from launch to the end of the first step, median", f"{later:.2f}", "2")
    table.add_row(f"the same of the first {JOBS}, which wait for the imports", f"{max(waits[:JOBS]):.2f}", "")
    Console().print(table)


if __name__ == "__main__":
    main()
