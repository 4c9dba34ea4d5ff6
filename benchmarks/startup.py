"""What a launch costs: our commands as whole processes, against importing torch and lightning alone.

The first step is that of a training on tiny synthetic scenes that ends after it, without validation or checkpoints. All
run on one thread and are measured in CPU time, which is the time from launch to end if nothing else runs. Then what the
commands import that torch and lightning alone do not, and who asked for it.

    python -m benchmarks.startup [--rounds 9]
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.timing import ratios, seconds, show

BASELINE = "import torch, lightning.pytorch"
SCENES = ("--data.dataset", "SyntheticScenes", "--data.dataset.length", "4", "--data.dataset.size", "[64,64]")
BATCHES = ("--data.batch_size", "2", "--data.crop_size", "[64,64]", "--data.workers", "0")
TRAINER = (
    "--trainer.max_steps",
    "1",
    "--trainer.limit_val_batches",
    "0",
    "--trainer.enable_checkpointing",
    "false",
)
COMMANDS: dict[str, tuple[str, ...]] = {
    BASELINE: ("-c", BASELINE),
    "--help": ("-m", "fusionseg.fit", "--help"),
    "first step": ("-m", "fusionseg.fit", *SCENES, *BATCHES, *TRAINER),
}


class Imported(NamedTuple):
    """A package that a process imported.

    Args:
        name: Its name.
        milliseconds: What its own modules took, without what they import in turn.
        asked: The module that imported it first.
    """

    name: str
    milliseconds: float
    asked: str


def launch(command: Sequence[str], *options: str) -> str:
    """What Python says on standard error; a training goes into a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1"}
        out = ("--out", f"{folder}/run") if "--trainer.max_steps" in command else ()
        words = (sys.executable, *options, *command, *out)
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[1]
        )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed, so that its time would mean nothing:\n{done.stderr}")
    return done.stderr


def ended() -> float:
    """CPU seconds of all processes that were launched and have ended."""
    # finer than os.times(), which counts hundredths
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def packages(report: str) -> dict[str, Imported]:
    """The packages in a report of `-X importtime`, where a module follows those that it imports, which stand deeper."""
    found: dict[str, Imported] = {}
    waiting: list[tuple[int, str]] = []
    for line in reversed(report.splitlines()):
        fields = line.removeprefix("import time:").split("|")
        if len(fields) != 3 or not fields[0].strip().isdigit():
            continue
        own, name = int(fields[0]) / 1000, fields[2].strip()
        depth, package = len(fields[2]) - len(fields[2].lstrip()), name.partition(".")[0]
        while waiting and waiting[-1][0] >= depth:
            waiting.pop()
        outside = [module for _, module in waiting if module.partition(".")[0] != package]
        before = found[package].milliseconds if package in found else 0.0
        # read backwards, the one that is seen last was imported first
        found[package] = Imported(package, before + own, outside[-1] if outside else "the command as it runs")
        waiting.append((depth, name))
    return found


def added(command: Sequence[str], without: dict[str, Imported]) -> list[Imported]:
    """The packages that a command imports beyond others, the largest first."""
    more = packages(launch(command, "-X", "importtime"))
    return sorted((p for n, p in more.items() if n not in without), key=lambda p: -p.milliseconds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    calls: dict[str, Callable[[], object]] = {
        name: partial(launch, words) for name, words in COMMANDS.items()
    }
    show("CPU time of a process", ratios(calls, BASELINE, args.rounds, ended), {})
    print(f"{BASELINE}: {seconds(calls[BASELINE], ended):.1f} s")
    base = packages(launch(COMMANDS[BASELINE], "-X", "importtime"))
    for name in ("--help", "first step"):
        table = Table(
            "package", "ms", "asked for by", title=f"imported for {name} beyond torch and lightning"
        )
        for package in added(COMMANDS[name], base)[:10]:
            table.add_row(package.name, f"{package.milliseconds:.0f}", package.asked)
        Console().print(table)


if __name__ == "__main__":
    main()
