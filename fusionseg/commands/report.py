"""Writes the page and the tables of a study: means, intervals, tests, fronts, curves and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fusionseg.cli.help import options_manual
from fusionseg.cli.parser import Parser
from fusionseg.studies.report.analysis import analysis
from fusionseg.studies.report.build import sections, write
from fusionseg.studies.report.question import question, report_notices
from fusionseg.studies.results import collect

ABOUT = """Reads a study's folder, or run folders that belong together, and writes index.html, which opens
without a network, and its tables as CSV, Markdown and LaTeX."""


@dataclass
class Options:
    """The arguments of the command.

    Args:
        folders: The folder of a study, or run folders, whose parent folders name their variants.
        out: Folder to write to; `report` in the study's folder where left out.
        name: Which study, where the folder holds several.
        metric: Figures that decide in place of the study's own; several with commas between.
        reference: The variant to compare with in place of the study's own.
    """

    folders: list[str]
    out: Path | None = None
    name: str | None = None
    metric: str | None = None
    reference: str | None = None


def options(args: Sequence[str]) -> Options:
    """The arguments of the command.

    Raises:
        UsageError: If they cannot be used.
    """
    parser = Parser(allow_abbrev=False)
    parser.manual = lambda: options_manual("report DIR|RUN ...", ABOUT, Options)
    parser.add_class_arguments(Options, skip={"folders"}, instantiate=False)
    parser.add_argument("folders", nargs="+", type=str)
    return Options(**parser.parse_args(list(args)).as_dict())


def main(args: Sequence[str]) -> None:
    """Writes the report and prints its path."""
    given = options(args)
    asked = question(collect(given.folders, given.name), given.metric, given.reference)
    report_notices(asked)
    numbers = analysis(asked)
    print(write(numbers, sections(numbers), given.out or Path(given.folders[0]) / "report"))
