"""Finds better parameters for the decoders of a run on its validation images, without its network."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fusionseg.cli.arguments import switched, values
from fusionseg.cli.help import options_manual
from fusionseg.cli.parser import Parser
from fusionseg.commands.evaluate import EvaluateCLI, asked_checkpoint, check_images
from fusionseg.config.errors import UsageError
from fusionseg.config.trust import untrusted
from fusionseg.engine.precision import fast_precision
from fusionseg.module import FusionModule
from fusionseg.runs.checkpoints import load_state
from fusionseg.runs.decoder import Decoder, Parameters, digest, shown
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.restore import arguments
from fusionseg.studies.launchers import stoppable
from fusionseg.tuning.plan import Plan, planned
from fusionseg.tuning.search import searched
from fusionseg.tuning.trials import best, check_installed

ABOUT = """Runs the network once over the validation images, keeps the outputs of the heads in a temporary
folder (TMPDIR), and tries parameters of their decodings on them: thresholds, smallest areas and the like. The
best ones are written into the run folder (decoder.yaml), where evaluate, predict and oracle find them. The
first trial is what the run has, so that validation images cannot lose; their figures are optimistic from then
on. Ctrl-C keeps the best parameters so far. The test split is never read. Further arguments change the run's
configuration, such as --data.dataset.root where the data have moved."""

USAGE = "fusionseg tune --run DIR [--metric val/covering] [--trials 50] [--key value ...]"


@dataclass
class Options:
    """The arguments of the command itself.

    Args:
        run: Run folder.
        metric: The validation figure that decides.
        trials: How many parameters are tried, those of the run included.
        seed: What the draws depend on.
        checkpoint: The epoch with the best validation score, or the last one.
        jobs: Number of processes that decode; one for each core where left out.
        reset: Remove what was tuned, and do nothing else.
        trust: As in fusionseg.evaluate.
    """

    run: Path
    metric: str = "val/score"
    trials: int = 50
    seed: int = 0
    checkpoint: Literal["best", "last"] = "best"
    jobs: int | None = None
    reset: bool = False
    trust: str | None = None


class TuneCLI(EvaluateCLI):
    """The command line of tuning: that of evaluation with other arguments."""

    def add_options(self, parser: Any) -> None:
        parser.add_class_arguments(Options, instantiate=False)

    def manual(self) -> str:
        return options_manual(USAGE, ABOUT, Options)


def main(args: Sequence[str]) -> None:
    """Tunes as the arguments say and prints the figures before and after, and the file."""
    args = switched(args, ("reset",))
    if values(args, "--reset")[-1:] == ["true"]:
        _reset(args)
        return
    named = values(args, "--run")
    known = arguments(RunFolder(named[-1]), asked_checkpoint(args)) if named else []
    with untrusted(values(args, "--trust")):
        cli = TuneCLI([*known, *args])
    given = cli.config
    _check_numbers(given)
    check_installed()
    if not isinstance(cli.model, FusionModule):
        raise UsageError(f"expected a run of a FusionModule, found {type(cli.model).__name__}", "run")
    run = RunFolder(given.run)
    plan = planned(cli.model.heads, cli.model.suite, given.metric)
    checkpoint = digest(run.checkpoint(given.checkpoint))
    load_state(cli.model, run.checkpoint(given.checkpoint))
    check_images(run, cli.datamodule, "val")
    precision = str(given.trainer.get("precision") or fast_precision())
    numbers = (given.trials, given.seed, given.jobs)
    with stoppable():
        first = _first(run, plan, checkpoint)
        found = searched(cli.model, cli.datamodule, precision, plan, first, *numbers)
    chosen = best(found.tried, plan.figure)
    decoder = Decoder(
        parameters=chosen.parameters,
        untuned=plan.own,
        metric=f"val/{plan.figure}",
        before=found.tried[0].figures,
        after=chosen.figures,
        images=found.images,
        trials=len(found.tried),
        seed=given.seed,
        checkpoint=given.checkpoint,
        digest=checkpoint,
    )
    decoder.write(run)
    _report(decoder, run)
    if not found.complete:
        print(f"stopped after {len(found.tried)} of {given.trials} trials", file=sys.stderr)
        raise KeyboardInterrupt


def _reset(args: Sequence[str]) -> None:
    """Removes the decoder of a run."""
    parser = Parser(allow_abbrev=False)
    parser.add_class_arguments(Options, instantiate=False)
    run = RunFolder(parser.parse_args(list(args)).run)
    run.configuration()
    if not run.decoder.is_file():
        print(f"{run.path} is not tuned")
        return
    run.decoder.unlink()
    print(f"removed {run.decoder}")


def _check_numbers(given: Any) -> None:
    """Raises a UsageError if a number is out of its range."""
    for name, least in (("trials", 1), ("jobs", 1)):
        if (value := given[name]) is not None and value < least:
            raise UsageError(f"expected {least} or more, found {value}", name)
    if not 0 <= given.seed < 2**32:
        raise UsageError(f"expected an integer in 0..{2**32 - 1}, found {given.seed}", "seed")


def _first(run: RunFolder, plan: Plan, checkpoint: str) -> list[Parameters]:
    """What is tried first: the run's own parameters, and those that were tuned before for the checkpoint."""
    before = Decoder.of(run)
    if before is None or before.digest != checkpoint:
        return [plan.own]
    known = {task: values.keys() for task, values in before.parameters.items()}
    fits = known == {task: values.keys() for task, values in plan.own.items()}
    return [plan.own, before.parameters] if fits else [plan.own]


def _report(decoder: Decoder, run: RunFolder) -> None:
    """Prints figures and parameters before and after, and the file."""
    for name, before in decoder.before.items():
        print(f"val/{name:20} {before:.4f} -> {decoder.after[name]:.4f}")
    print(f"before: {shown(decoder.untuned)}")
    print(f"after:  {shown(decoder.parameters)}")
    if decoder.parameters == decoder.untuned:
        print(f"nothing was better than the run's own parameters by {decoder.metric}", file=sys.stderr)
    print(run.decoder)
