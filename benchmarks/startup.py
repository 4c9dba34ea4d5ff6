"""Times the start of commands as whole processes, against importing only torch and lightning.

The first step is that of a training on tiny synthetic scenes that ends after it, without validation or
checkpoints. All processes have one thread and are measured in CPU time. Then the packages that the commands
import in addition to torch and lightning are listed, with the module that imports them first.

    python -m benchmarks.startup [--rounds 9]
"""

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

from benchmarks.timing import command_line, ratios, seconds, show

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
        milliseconds: The import time of its own modules, without other packages that they import.
        asked: The module that imported it first.
    """

    name: str
    milliseconds: float
    asked: str


def launch(command: Sequence[str], *options: str) -> str:
    """Runs Python with some arguments, a training in a temporary folder.

    Args:
        command: The arguments of Python.
        options: Options that come before them.

    Returns:
        The text on standard error.

    Raises:
        RuntimeError: If the process fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1"}
        out = ("--out", f"{folder}/run") if "--trainer.max_steps" in command else ()
        arguments = (sys.executable, *options, *command, *out)
        done = subprocess.run(
            arguments, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[1]
        )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(arguments)} failed, so that its time would mean nothing:\n{done.stderr}"
        )
    return done.stderr


def ended() -> float:
    """The CPU seconds of all child processes that have ended."""
    # os.times() has a resolution of only 10 ms
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def packages(report: str) -> dict[str, Imported]:
    """The packages in a report of `-X importtime`, by name.

    In the report a module comes after the modules that it imports, which are indented deeper.
    """
    found: dict[str, Imported] = {}
    waiting: list[tuple[int, str]] = []
    for line in reversed(report.splitlines()):
        fields = line.removeprefix("import time:").split("|")
        if len(fields) != 3 or not fields[0].strip().isdigit():
            continue
        milliseconds = int(fields[0]) / 1000
        name = fields[2].strip()
        depth = len(fields[2]) - len(fields[2].lstrip())
        package = name.partition(".")[0]
        while waiting and waiting[-1][0] >= depth:
            waiting.pop()
        outside = [module for _, module in waiting if module.partition(".")[0] != package]
        before = found[package].milliseconds if package in found else 0.0
        # in reverse order, the importer that is seen last was the first one
        asked = outside[-1] if outside else "the command as it runs"
        found[package] = Imported(package, before + milliseconds, asked)
        waiting.append((depth, name))
    return found


def added(command: Sequence[str], without: dict[str, Imported]) -> list[Imported]:
    """The packages that a command imports in addition to others, the slowest first."""
    imported = packages(launch(command, "-X", "importtime"))
    more = (package for name, package in imported.items() if name not in without)
    return sorted(more, key=lambda package: -package.milliseconds)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    calls: dict[str, Callable[[], object]] = {
        name: partial(launch, command) for name, command in COMMANDS.items()
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
