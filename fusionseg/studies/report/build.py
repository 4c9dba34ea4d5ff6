"""Builds a report: the numbers, the sections, and the files that they are written to."""

from collections.abc import Collection, Sequence
from pathlib import Path

from fusionseg.files.atomic import write_text
from fusionseg.pages.blocks import Section, Table
from fusionseg.pages.page import page
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.differing_images import DifferingImage
from fusionseg.studies.report.exports import FIRST_LINE, as_csv, as_latex, as_markdown
from fusionseg.studies.report.figures import title
from fusionseg.studies.report.numbers import count
from fusionseg.studies.report.sections import (
    axes,
    classes,
    costs,
    curves,
    differences,
    gains,
    images,
    oracles,
    provenance,
    ranks,
    reading,
    result,
    runs,
    scores,
    search,
    selection,
    tradeoff,
)

BEFORE = (
    *(result, search, scores, selection, differences, gains, oracles, tradeoff),
    *(axes, ranks, curves, classes),
)
AFTER = (costs, runs, provenance, reading)
"""The sections before and after the images, in the order of the page."""

FORMATS = {"csv": as_csv, "md": as_markdown, "tex": as_latex}


def sections(numbers: Analysis, shown: Sequence[DifferingImage] | str = "") -> list[Section]:
    """The sections of a report, in the order of the page; those that have nothing to show are left out.

    Args:
        numbers: What they are of.
        shown: The images on which variants differ most, or why there are none.
    """
    made = [module.section(numbers) for module in BEFORE]
    made += [images.section(numbers, shown), *(module.section(numbers) for module in AFTER)]
    return [section for section in made if section is not None]


def write(numbers: Analysis, made: Sequence[Section], folder: Path) -> Path:
    """Writes the page and its tables, and removes the tables of an earlier report that this one has not.

    Args:
        numbers: What they are of.
        made: The sections.
        folder: Where to write `index.html`, and `<table>.csv`, `.md` and `.tex` of each table.

    Returns:
        The page.
    """
    results = numbers.asked.results
    lead = [str(results.declared["description"])] if results.declared.get("description") else []
    path = folder / "index.html"
    write_text(path, page(results.name, lead, _facts(numbers), made))
    tables = [block for section in made for block in section.blocks if isinstance(block, Table)]
    _remove_others(folder, {table.name for table in tables})
    for table in tables:
        for suffix, formatted in FORMATS.items():
            write_text(folder / f"{table.name}.{suffix}", formatted(table))
    return path


def _remove_others(folder: Path, names: Collection[str]) -> None:
    """Removes the tables of an earlier report, whose numbers would be taken for those of this one."""
    for path in folder.glob("*.tex"):
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.stem not in names and text.startswith(f"{FIRST_LINE}\n"):
            for suffix in FORMATS:
                path.with_suffix(f".{suffix}").unlink(missing_ok=True)


def _facts(numbers: Analysis) -> str:
    """A line about the study: its size and what decides."""
    asked = numbers.asked
    runs = asked.results.runs
    finished = sum(run.status == "finished" for run in runs)
    rule = "the best epoch of each run" if asked.optimistic else "the last epoch of each run"
    parts = [
        count(len(asked.results.variants), "variant"),
        count(len(asked.seeds), "seed"),
        f"{finished} of {count(len(runs), 'run')} finished",
        f"decided by {' and '.join(title(metric) for metric in asked.metrics)} of {rule}",
    ]
    return " \N{MIDDLE DOT} ".join(parts)
