"""Runs a study: variants and seeds from one file, resumed where it was stopped."""

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fusionseg.cli.arguments import with_switches
from fusionseg.cli.help import options_manual
from fusionseg.cli.parser import Parser
from fusionseg.config.errors import UsageError, UserError
from fusionseg.studies.driver import Driver
from fusionseg.studies.final import chosen_variants, final_runs, record_final
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.launcher import Launcher
from fusionseg.studies.launchers import Kind, check_left, launcher, slots_for, stoppable
from fusionseg.studies.live import Display
from fusionseg.studies.own_packages import own_packages
from fusionseg.studies.plan import Plan
from fusionseg.studies.prepare import prepared
from fusionseg.studies.progress import Progress
from fusionseg.studies.resolve import Resolver
from fusionseg.studies.search.runs import SearchRuns
from fusionseg.studies.search.sweep import search_sweep
from fusionseg.studies.search.workload import search_workload
from fusionseg.studies.slots import Slot
from fusionseg.studies.sources import FixedRuns, Source
from fusionseg.studies.sweep import sweep
from fusionseg.studies.workload import workload

ABOUT = """Runs every variant of a study file, or every trial of its search, with every seed and measures each
on the validation split. The same command goes on where it was stopped, repeats nothing that is finished, and
takes in seeds, variants and trials that were added to the file. What every run is to set beside the file is
given as in fit: --data.dataset.root DIR. Then: python -m fusionseg report DIR."""

SWITCHES = ("dry_run", "wandb_sweep")
MOST_LOGS = 3
"""The ends of so many logs of failed runs are printed."""


@dataclass
class Options:
    """The arguments of the command.

    Args:
        file: Study file, such as experiments/studies/joint_vs_single.yaml.
        out: Folder of the runs; several studies may share one, and runs that are the same.
        jobs: Runs at once; left out: as many as the GPUs allow, or half as many as there are cores, and on a
            cluster all, which wait there.
        gpus_per_run: GPUs of each run, also a fraction (not in SLURM); left out: one, if there are any.
        launcher: Where the runs are computed: on this machine, as jobs of SLURM, or as tasks of Ray.
        cpus_per_run: Cores of each run on a cluster; left out: 4 with a GPU, 1 without.
        slurm: Parameters of submitit's SlurmExecutor: a YAML file, or one by one (--slurm.partition gpu).
        ray_address: Address of the Ray cluster; left out: RAY_ADDRESS, or this machine's.
        dry_run: List the runs with their commands, time and disk, and run nothing; steps are measured, and
            kept for the study where its budget is a time.
        plan: Say how many seeds a difference of so much needs in the metric, from the runs so far.
        wandb_sweep: Print the W&B sweep that starts the same runs, and run nothing.
        final: When all is run, measure these variants on the test split, once; with commas between. A variant
            of which a run failed is not measured.
    """

    file: Path
    out: Path
    jobs: int | None = None
    gpus_per_run: float | None = None
    launcher: Kind = "local"
    cpus_per_run: int | None = None
    slurm: dict[str, Any] | Path | None = None
    ray_address: str | None = None
    dry_run: bool = False
    plan: float | None = None
    wandb_sweep: bool = False
    final: str | None = None


def options(args: Sequence[str]) -> Options:
    """The arguments of the command.

    Raises:
        UsageError: If they cannot be used.
    """
    parser = Parser(allow_abbrev=False)
    parser.manual = lambda: options_manual("fusionseg study FILE --out DIR [--key value ...]", ABOUT, Options)
    parser.add_argument("file", type=Path)
    parser.add_class_arguments(Options, skip={"file"}, instantiate=False)
    return Options(**parser.parse_args(with_switches(args, SWITCHES)).as_dict())


def main(args: Sequence[str]) -> None:
    """Runs the study and says what came of it."""
    words, settings = divided(args)
    given = options(words)
    folder = StudyFolder(given.out)
    if given.plan is not None:
        from fusionseg.studies.seeds import seed_plan  # here, as nothing else needs scipy

        print(seed_plan(folder, given.file.stem, given.plan))
        return
    with Resolver() as resolver:
        if given.dry_run or given.wandb_sweep:
            plan = prepared(given.file, folder, _report, resolver, settings)
            print(_sweep(plan, folder) if given.wandb_sweep else _workload(plan, folder, given, resolver))
            return
        command = shlex.join(["python", "-m", "fusionseg", "study", *args])
        failed, total = _run(given, command, folder, resolver, settings)
    print(folder.path)
    if failed:
        for run in failed[:MOST_LOGS]:
            _report(f"\n{folder.log(run)} ends with:\n{folder.end_of_log(run)}")
        logs = ", ".join(str(folder.log(run)) for run in failed)
        raise UserError(f"{len(failed)} of {total} runs failed; their logs: {logs}")


def _run(
    given: Options, command: str, folder: StudyFolder, resolver: Resolver, settings: dict[str, Any]
) -> tuple[list[str], int]:
    """Runs what is left, and then measures the variants of `--final` on the test split.

    Returns:
        The folders of the runs that failed, and the number of all.
    """
    places = slots_for(given.launcher, given.jobs, given.gpus_per_run)
    runner = launcher(
        given.launcher, folder, given.gpus_per_run, given.cpus_per_run, given.slurm, given.ray_address
    )
    with folder.held(), stoppable():
        check_left(given.launcher, folder)
        plan = prepared(given.file, folder, _report, resolver, settings)
        chosen = chosen_variants(plan, folder, given.final)
        places = places or _room(plan)
        known = folder.declared(plan.study.name) if plan.study.name in folder.names() else {}
        folder.declare({"final": known.get("final", []), "command": command, **plan.declared()})
        source = _source(plan, folder, resolver)
        progress = _driven(plan, folder, runner, places, source, "val")
        failed = list(progress.failed)
        if runs := final_runs(plan, folder, chosen, failed, _report):
            record_final(folder, plan.study, runs)
            failed += _driven(plan, folder, runner, places, FixedRuns(runs), "test").failed
    return failed, progress.total


def _source(plan: Plan, folder: StudyFolder, resolver: Resolver) -> Source:
    """What gives the runs; the process that builds variants is needed no longer where all are known."""
    if plan.study.search:
        return SearchRuns(plan, folder, resolver, _report)
    resolver.close()
    return FixedRuns(plan.runs)


def _room(plan: Plan) -> list[Slot]:
    """Room for all runs of a study at once, which wait in the queue of a cluster.

    Raises:
        UsageError: If it is a search, whose trials would all be drawn before the first one ends.
    """
    if plan.study.search:
        raise UsageError("expected so many runs at once, as a search draws from what it has learned", "jobs")
    return [Slot()] * len(plan.runs)


def _driven(
    plan: Plan, folder: StudyFolder, runner: Launcher, places: list[Slot], source: Source, split: str
) -> Progress:
    with Display(f"{plan.study.name} ({split})", len(places)) as display:
        trust = own_packages(plan)
        return Driver(plan.study, source, folder, runner, places, display.show, split, trust).run()


def _workload(plan: Plan, folder: StudyFolder, given: Options, resolver: Resolver) -> str:
    jobs = len(slots_for(given.launcher, given.jobs, given.gpus_per_run)) or 1
    if plan.study.search:
        return search_workload(plan, folder, jobs, resolver, _report)
    return workload(plan, folder, jobs, _report)


def _sweep(plan: Plan, folder: StudyFolder) -> str:
    return search_sweep(plan, folder) if plan.study.search else sweep(plan, folder)


def divided(args: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """The command's own arguments, and the settings of all runs.

    >>> divided(["a.yaml", "--model.beta", "0.5", "--out", "runs"])
    (['a.yaml', '--out', 'runs'], {'model.beta': 0.5})
    """
    own: list[str] = []
    settings: dict[str, Any] = {}
    words = list(args)
    while words:
        word = words.pop(0)
        if not re.match(r"--(model|data|trainer)[.=]", word):
            own.append(word)
            continue
        key, equals, value = word.removeprefix("--").partition("=")
        if not equals and not words:
            raise UsageError("expected a value, found none", key)
        settings[key] = yaml.safe_load(value if equals else words.pop(0))
    return own, settings


def _report(line: str) -> None:
    print(line, file=sys.stderr)
