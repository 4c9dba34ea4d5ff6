"""Runs a study: variants and seeds from one file, resumed where it was stopped."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fusionseg.cli.help import options_manual
from fusionseg.cli.parser import Parser
from fusionseg.config.errors import UserError
from fusionseg.studies.driver import Driver
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.launcher import LocalLauncher, slots
from fusionseg.studies.live import Display
from fusionseg.studies.prepare import prepared

ABOUT = """Runs every variant of a study file with every seed and measures each on the validation split. The
same command goes on where it was stopped, repeats nothing that is finished, and takes in seeds and variants
that were added to the file. Then: python -m fusionseg report DIR."""


@dataclass
class Options:
    """The arguments of the command.

    Args:
        file: Study file, such as experiments/studies/joint_vs_single.yaml.
        out: Folder of the runs; several studies may share one, and runs that are the same.
        jobs: Runs at once; left out: as many as the GPUs allow, or half as many as there are cores.
        gpus_per_run: GPUs of each run, also a fraction; left out: one, if there are any.
        dry_run: List the runs with their commands, and run nothing.
    """

    file: Path
    out: Path
    jobs: int | None = None
    gpus_per_run: float | None = None
    dry_run: bool = False


def options(args: Sequence[str]) -> Options:
    """The arguments of the command.

    Raises:
        UsageError: If they cannot be used.
    """
    parser = Parser(allow_abbrev=False)
    parser.manual = lambda: options_manual("fusionseg study FILE --out DIR [--jobs N]", ABOUT, Options)
    parser.add_argument("file", type=Path)
    parser.add_class_arguments(Options, skip={"file"}, instantiate=False)
    return Options(**parser.parse_args(_flags(args)).as_dict())


def main(args: Sequence[str]) -> None:
    """Runs the study and says what came of it."""
    given = options(args)
    folder = StudyFolder(given.out)
    if given.dry_run:
        for run in prepared(given.file, folder, _report).runs:
            print("python -m fusionseg.fit", *run.arguments, "--out", folder.path / run.folder)
        return
    with folder.held():
        plan = prepared(given.file, folder, _report)
        folder.declare(plan.declared())
        places = slots(given.jobs, given.gpus_per_run)
        with Display(plan.study.name, len(places)) as display:
            driver = Driver(plan.study, plan.runs, folder, LocalLauncher(), places, display.show)
            progress = driver.run()
    print(folder.path)
    if progress.failed:
        logs = ", ".join(str(folder.log(run)) for run in progress.failed)
        raise UserError(f"{len(progress.failed)} of {progress.total} runs failed; their logs: {logs}")


def _flags(args: Sequence[str]) -> list[str]:
    """The arguments with flags as Python names, and switches with a value."""
    words = []
    for word in args:
        flag, equals, value = word.partition("=")
        name = flag[2:].replace("-", "_") if flag.startswith("--") else ""
        words.append(f"--{name}{equals}{value}" if name else word)
        if name == "dry_run" and not equals:
            words[-1] += "=true"
    return words


def _report(line: str) -> None:
    print(line, file=sys.stderr)
