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
from fusionseg.config.errors import UsageError, UserError
from fusionseg.config.trust import untrusted
from fusionseg.engine.decoding import Parameters
from fusionseg.engine.precision import fast_precision
from fusionseg.module import FusionModule
from fusionseg.runs.checkpoints import load_state
from fusionseg.runs.decoder import Decoder, digest, shown
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.restore import arguments
from fusionseg.studies.launchers import stoppable
from fusionseg.tuning.plan import Plan, planned
from fusionseg.tuning.search import Found, searched
from fusionseg.tuning.trials import Trial, best, check_installed

ABOUT = """Runs the network once over the validation images, keeps the outputs of the heads in a temporary
folder (TMPDIR), and tries parameters of their decodings on them: thresholds, smallest areas and the like. The
probabilities of classes and of boundaries get the temperature at which the truth is most likely. All this is
written into the run folder (decoder.yaml), where evaluate, predict and oracle find it. The first trial is
what the run has, so that validation images cannot lose; their figures are optimistic from then on. Ctrl-C
keeps the best parameters so far. The test split is never read. Further arguments change the run's
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
        temperature: Fit temperatures of probabilities, which change no label; the outputs of their heads are
            kept too, which takes room where there are many classes.
        reset: Remove what was tuned, and do nothing else.
        trust: As in fusionseg.evaluate.
    """

    run: Path
    metric: str = "val/score"
    trials: int = 50
    seed: int = 0
    checkpoint: Literal["best", "last"] = "best"
    jobs: int | None = None
    temperature: bool = True
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
    args = switched(args, ("reset", "temperature"))
    if values(args, "--reset")[-1:] == ["true"]:
        _reset(args)
        return
    named = values(args, "--run")
    known = arguments(RunFolder(named[-1]), asked_checkpoint(args)) if named else []
    with untrusted(values(args, "--trust")):
        cli = TuneCLI([*known, *args])
    given = cli.config
    _check_numbers(given)
    if not isinstance(cli.model, FusionModule):
        raise UsageError(f"expected a run of a FusionModule, found {type(cli.model).__name__}", "run")
    run = RunFolder(given.run)
    plan = planned(cli.model.heads, cli.model.suite, given.metric, given.temperature)
    if plan.ranges:
        check_installed()
    else:
        print("no head has parameters of its decoding: temperatures alone are fitted", file=sys.stderr)
    checkpoint = digest(run.checkpoint(given.checkpoint))
    load_state(cli.model, run.checkpoint(given.checkpoint))
    check_images(run, cli.datamodule, "val")
    precision = str(given.trainer.get("precision") or fast_precision())
    trials = given.trials if plan.ranges else 0
    numbers = (trials, given.seed, given.jobs)
    with stoppable():
        first = _first(run, plan, checkpoint)
        found = searched(cli.model, cli.datamodule, precision, plan, first, *numbers)
    if not found.tried and not found.temperatures:
        raise UserError("no validation image has labels of what the heads say: there is nothing to fit to")
    decoder = _decoder(plan, found, given, checkpoint)
    decoder.write(run)
    _report(decoder, run)
    if not found.complete:
        print(f"stopped after {len(found.tried)} of {trials} trials", file=sys.stderr)
        raise KeyboardInterrupt


def _decoder(plan: Plan, found: Found, given: Any, checkpoint: str) -> Decoder:
    """The best decoder of a search, and the temperatures."""
    chosen = best(found.tried, plan.figure) if found.tried else Trial({}, {})
    return Decoder(
        parameters=chosen.parameters,
        untuned=plan.own,
        metric=f"val/{plan.figure}" if found.tried else "likelihood",
        before=found.tried[0].figures if found.tried else {},
        after=chosen.figures,
        images=found.images,
        trials=len(found.tried),
        seed=given.seed,
        checkpoint=given.checkpoint,
        digest=checkpoint,
        calibration={task: fit._asdict() for task, fit in found.temperatures.items()},
    )


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
    for task, fit in decoder.calibration.items():
        likelihood = f"{fit['nll_before']:.4f} -> {fit['nll_after']:.4f}"
        print(f"val/nll of {task:13} {likelihood}, temperature {fit['temperature']:.3f}")
    if not decoder.trials:
        print(run.decoder)
        return
    print(f"before: {shown(decoder.untuned)}")
    print(f"after:  {shown(decoder.parameters)}")
    if decoder.parameters == decoder.untuned:
        print(f"nothing was better than the run's own parameters by {decoder.metric}", file=sys.stderr)
    print(run.decoder)
