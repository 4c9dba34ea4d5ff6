"""The figures of each variant: mean, spread and interval over seeds."""

from collections.abc import Sequence

from fusionseg.pages.blocks import Block, Cell, Chart, Column, Section, Table, Value
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.charts.intervals import seeds_chart
from fusionseg.studies.report.figures import split_of, title
from fusionseg.studies.report.numbers import decimals, interval, listed, mean_and_spread, shown
from fusionseg.studies.report.question import Question
from fusionseg.studies.report.sections.optimism import (
    OPTIMISTIC,
    OPTIMISTIC_NOTE,
    chosen_mark,
    chosen_notes,
)

TUNED = "\N{SECTION SIGN}"
TUNED_NOTE = f"{TUNED} Of decoders with parameters that validation images chose{{optimistic}}."
"""The mark of figures of tuned decoders."""
BOLD_NOTE = "Bold: better than {reference} after Holm's correction (see the differences)."


def section(numbers: Analysis) -> Section:
    """The table of the main figures, a chart of the deciding ones, and the table of all figures."""
    asked = numbers.asked
    blocks: list[Block] = [_headlines(numbers, numbers.headlines, "scores")]
    for metric in asked.metrics:
        values = {name: asked.figures(name, metric) for name in asked.variants}
        having = {name: figures for name, figures in values.items() if figures}
        spec = seeds_chart(having, {name: numbers.mean(name, metric) for name in having}, title(metric))
        caption = f"{title(metric)} of each seed (points), with the mean and its 95 % interval."
        blocks.append(Chart(f"seeds-{metric.replace('/', '-')}", caption, spec))
    tested = [name for name in asked.measured() if split_of(name) == "test"]
    if tested and asked.split != "test":
        shown_there = [f"test/{name.split('/')[1]}" for name in numbers.headlines]
        blocks.append(_headlines(numbers, [name for name in shown_there if name in tested], "scores-test"))
    blocks.append(_all_figures(numbers))
    return Section("Scores", blocks)


def _headlines(numbers: Analysis, figures: Sequence[str], name: str) -> Table:
    asked = numbers.asked
    digits = decimals(numbers.mean(variant, f).spread for variant in asked.variants for f in figures)
    rows = [
        [Cell(variant), _seeds(numbers, variant), *(_cell(numbers, variant, f, digits) for f in figures)]
        for variant in asked.variants
    ]
    marks = {f: f" {OPTIMISTIC}" if numbers.optimistic(f) else "" for f in figures}
    notes = ["Mean and standard deviation over seeds; below, Student's 95 % interval of the mean."]
    if any(cell.bold for row in rows for cell in row):
        notes.append(BOLD_NOTE.format(reference=asked.reference))
    if any(marks.values()):
        notes.append(OPTIMISTIC_NOTE)
    notes += chosen_notes(numbers, figures)
    if any(numbers.tuned(variant, f) for variant in asked.variants for f in figures):
        on_val = any(split_of(f) == "val" for f in figures)
        notes.append(TUNED_NOTE.format(optimistic=": optimistic on these" if on_val else ""))
    if name == "scores-test":
        notes.append(_test_note(asked))
    columns = [
        Column("variant"),
        Column("seeds", True),
        *(Column(f"{title(f)}{marks[f]}", True) for f in figures),
    ]
    caption = "Scores on the test images." if name == "scores-test" else "Scores of each variant."
    return Table(name, caption, columns, rows, _records(numbers, figures), notes)


def _test_note(asked: Question) -> str:
    """How the test figures came about, as far as it is on record."""
    measured = asked.results.declared.get("final") or ()
    tested = [name for name in asked.variants if asked.tested(name)]
    once = [name for name in tested if name in measured]
    others = [name for name in tested if name not in measured]
    text = "The test images chose nothing here."
    text += f" `study --final` measured {listed(once)} on them, each run once." if once else ""
    return text + (f" How often {listed(others)} had been is not on record." if others else "")


def _seeds(numbers: Analysis, variant: str) -> Cell:
    """How many of the planned seeds a variant has, and which it lacks."""
    planned = len(numbers.asked.seeds)
    missing = numbers.asked.missing(variant)
    having = planned - len(missing)
    if not missing:
        return Cell(str(planned), planned)
    listed = ", ".join(map(str, missing))
    return Cell(
        f"{having} of {planned}", having, detail=f"without {listed}", hint=f"seeds without result: {listed}"
    )


def _cell(numbers: Analysis, variant: str, figure: str, digits: int) -> Cell:
    asked = numbers.asked
    mean = numbers.mean(variant, figure)
    if not mean.count:
        return Cell(shown(None), hint="not measured")
    mark = chosen_mark(numbers, variant, figure)
    mark += f" {TUNED}" if numbers.tuned(variant, figure) else ""
    undefined = [s for s in asked.lacking(variant, figure) if s not in asked.missing(variant)]
    return Cell(
        f"{mean_and_spread(mean.mean, mean.spread, digits)}{mark}",
        mean.mean,
        interval(mean.low, mean.high, digits) or (f"without {listed(undefined)}" if undefined else ""),
        numbers.significant(variant, figure),
        hint=f"undefined with seeds {listed(undefined)}" if undefined else "",
    )


def _records(numbers: Analysis, figures: Sequence[str]) -> list[dict[str, Value]]:
    """A row for each variant and figure."""
    records: list[dict[str, Value]] = []
    for variant in numbers.asked.variants:
        for figure in figures:
            mean = numbers.mean(variant, figure)
            if mean.count:
                records.append(
                    {
                        "variant": variant,
                        "metric": figure,
                        "mean": mean.mean,
                        "spread": mean.spread,
                        "low": mean.low,
                        "high": mean.high,
                        "seeds": mean.count,
                        "missing": " ".join(map(str, numbers.asked.lacking(variant, figure))),
                        "optimistic": numbers.optimistic(figure)
                        or (numbers.tuned(variant, figure) and split_of(figure) == "val"),
                        "tuned": numbers.tuned(variant, figure),
                    }
                )
    return records


def _all_figures(numbers: Analysis) -> Table:
    """Every figure of every variant, a row each."""
    records = _records(numbers, numbers.asked.measured())
    rows = [
        [
            Cell(str(record["variant"])),
            Cell(str(record["metric"])),
            *(
                Cell(shown(float(str(record[key])), 4), record[key])
                for key in ("mean", "spread", "low", "high")
            ),
            Cell(str(record["seeds"]), record["seeds"]),
        ]
        for record in records
    ]
    columns = [Column("variant"), Column("figure")]
    columns += [Column(name, True) for name in ("mean", "spread", "low", "high", "seeds")]
    return Table("figures", "All figures of each variant.", columns, rows, records, folded=True)
