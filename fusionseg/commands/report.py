"""Writes the page and the tables of a study: means, intervals, tests, fronts, curves and pictures."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fusionseg.cli.arguments import values
from fusionseg.cli.help import options_manual
from fusionseg.cli.parser import Parser
from fusionseg.config.errors import UserError
from fusionseg.config.trust import untrusted
from fusionseg.runs.folder import RunFolder
from fusionseg.sample import Picture
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.report.facts import evaluation
from fusionseg.studies.report.question import question, report_notices
from fusionseg.studies.results import collect
from fusionseg.studies.run_result import RunResult

if TYPE_CHECKING:
    from fusionseg.studies.report.analysis import Analysis
    from fusionseg.studies.report.differing_images import DifferingImage

ABOUT = """Reads a study's folder, or run folders whose parent folders name their variants, and writes
index.html, which opens without a network, and its tables as CSV, Markdown and LaTeX."""


@dataclass
class Options:
    """The arguments of the command.

    Args:
        out: Folder to write to; where left out `report` in the study's folder (of several studies in it
            `report/NAME`), or here for run folders.
        name: Which study, where the folder holds several.
        metric: Figures that decide in place of the study's own; several with commas between.
        reference: The variant to compare with in place of the study's own.
        pictures: How many images are predicted again and shown across variants, those that differ most; 0 for
            none.
        wandb: Where W&B gets the report as one run; nowhere where left out.
        trust: As in fusionseg.evaluate.
    """

    out: Path | None = None
    name: str | None = None
    metric: str | None = None
    reference: str | None = None
    pictures: int = 4
    wandb: Literal["online", "offline"] | None = None
    trust: str | None = None


def options(args: Sequence[str]) -> tuple[list[str], Options]:
    """The folders and the other arguments of the command.

    Raises:
        UsageError: If they cannot be used.
    """
    parser = Parser(allow_abbrev=False)
    parser.manual = lambda: options_manual("fusionseg report DIR|RUN ... [--out DIR]", ABOUT, Options)
    parser.add_class_arguments(Options, instantiate=False)
    parser.add_argument("folders", nargs="+", type=str)
    given = parser.parse_args(list(args)).as_dict()
    return given.pop("folders"), Options(**given)


def main(args: Sequence[str]) -> None:
    """Writes the report and prints its path."""
    folders, given = options(args)
    asked = question(collect(folders, given.name), given.metric, given.reference)
    report_notices(asked)
    # here, so that --help and mistakes are quick
    from fusionseg.studies.report.analysis import analysis
    from fusionseg.studies.report.build import sections, write
    from fusionseg.studies.report.tracking import track

    numbers = analysis(asked)
    images = _images(numbers, given.pictures, values(args, "--trust"))
    made = sections(numbers, images)
    folder = given.out or report_folder(folders, asked.results.name)
    page = write(numbers, made, folder)
    if given.wandb:
        os.environ["WANDB_MODE"] = given.wandb
        print(track(numbers, made, images, folder), file=sys.stderr)
    print(page)


def report_folder(folders: Sequence[str], study: str) -> Path:
    """Where a report lies if nothing else is said; of several studies in a folder each has a place."""
    if len(folders) > 1 or RunFolder(folders[0]).config.is_file():
        return Path("report")
    several = len(StudyFolder(folders[0]).names()) > 1
    return Path(folders[0]) / "report" / (study if several else "")


def _images(numbers: "Analysis", most: int, trust: Sequence[str]) -> "Sequence[DifferingImage] | str":
    """The images on which variants differ most, or why they cannot be predicted again."""
    from fusionseg.studies.report.differing_images import differing_images

    def painted(run: RunResult, split: str, names: Sequence[str]) -> Mapping[str, Mapping[str, Picture]]:
        return _predicted(run, split, names, trust)

    try:
        return differing_images(numbers, most, painted) if most else ""
    except (UserError, OSError) as error:
        return str(error).rstrip("?.")


def _predicted(
    result: RunResult, split: Any, names: Sequence[str], trust: Sequence[str]
) -> dict[str, dict[str, Picture]]:
    """The pictures of some images by the model of a run as it was evaluated: its epoch and its decoder."""
    from fusionseg.commands.evaluate import EvaluateCLI
    from fusionseg.engine.decoding import decode_with
    from fusionseg.engine.precision import fast_precision
    from fusionseg.runs.checkpoints import load_state
    from fusionseg.runs.chosen_images import chosen_rows
    from fusionseg.runs.restore import arguments

    run = RunFolder(result.folder)
    evaluated = evaluation(result, split)
    which: Literal["best", "last"] = "last" if evaluated.get("checkpoint") == "last" else "best"
    with untrusted(trust):
        cli = EvaluateCLI([*arguments(run, which), "--run", str(run.path), "--checkpoint", which])
    load_state(cli.model, run.checkpoint(which))
    if decoder := evaluated.get("decoder"):
        decode_with(cli.model.heads, decoder["parameters"], result.evaluations[split])
    precision = str(cli.config.trainer.get("precision") or fast_precision())
    return dict(chosen_rows(cli.model, cli.datamodule, split, names, precision))
