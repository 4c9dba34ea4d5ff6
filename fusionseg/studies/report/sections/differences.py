"""Paired differences from the reference, with the variance of training and that of data apart."""

import math
from collections.abc import Sequence

from fusionseg.pages.blocks import Block, Cell, Chart, Column, Section, Table, Value, Words
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.charts.intervals import differences_chart
from fusionseg.studies.report.comparisons import LEVEL, Comparison
from fusionseg.studies.report.figures import title
from fusionseg.studies.report.numbers import count, decimals, interval, listed, p_value, shown
from fusionseg.studies.report.sections.optimism import OPTIMISTIC, OPTIMISTIC_NOTE, chosen_mark, chosen_notes
from fusionseg.studies.report.sections.significance import significance_table
from fusionseg.studies.statistics import seeds_needed

VERDICTS = {"better": "better", "worse": "worse", "open": "not shown", "withheld": "withheld"}


def section(numbers: Analysis) -> Section | None:
    """The tables of differences and tests and a chart of them; nothing where there is one variant."""
    asked = numbers.asked
    if not numbers.comparisons:
        return None
    blocks: list[Block] = [_table(numbers)]
    for metric in asked.metrics:
        found = [one for one in numbers.comparisons if one.metric == metric]
        if any(one.test.seeds for one in found):
            blocks.append(_chart(found, metric, asked.reference))
    blocks.append(significance_table(numbers))
    if limits := _limits(numbers):
        blocks.append(Words(limits))
    return Section(f"Differences from {asked.reference}", blocks)


def _table(numbers: Analysis) -> Table:
    asked = numbers.asked
    digits = decimals(one.test.interval.spread for one in numbers.comparisons)
    several = len(asked.metrics) > 1
    within = _within(numbers.comparisons)
    mark = f" {OPTIMISTIC}" if any(numbers.optimistic(metric) for metric in asked.metrics) else ""
    columns = [
        Column("variant"),
        *([Column("figure")] if several else []),
        Column(
            f"difference{mark}", True, f"variant minus {asked.reference}, mean over the seeds that both have"
        ),
        Column("over seeds", True, "95 % interval over trainings (Student's t)"),
        Column(f"over images{within}", True, "95 % interval over images, the same trained runs (bootstrap)"),
        Column("p, Holm", True, f"paired t test, corrected for {numbers.comparisons[0].family} comparisons"),
        Column("verdict"),
        Column("detectable", True, "true difference that 8 of 10 such studies would show"),
    ]
    rows = [_row(numbers, one, digits, several) for one in numbers.comparisons]
    caption = f"Differences from {asked.reference}, paired by seed."
    records = [_record(one) for one in numbers.comparisons]
    return Table("differences", caption, columns, rows, records, _notes(numbers))


def _row(numbers: Analysis, one: Comparison, digits: int, several: bool) -> list[Cell]:
    test = one.test
    either = (chosen_mark(numbers, name, one.metric) for name in (one.variant, numbers.asked.reference))
    mark = next(filter(None, either), "")
    images = one.images
    over_images = (
        _interval(math.nan, math.nan, digits, images)
        if isinstance(images, str)
        else _interval(images.low, images.high, digits, images.note)
    )
    return [
        Cell(one.variant),
        *([Cell(title(one.metric))] if several else []),
        Cell(f"{shown(test.difference, digits, sign=True)}{mark}", test.difference, bold=one.significant),
        _interval(test.interval.low, test.interval.high, digits, test.withheld),
        over_images,
        Cell(p_value(one.t_adjusted), one.t_adjusted, hint=test.withheld),
        Cell(VERDICTS[one.verdict], bold=one.significant, detail=_reason(one)),
        Cell(shown(one.detectable, digits), one.detectable),
    ]


def _interval(low: float, high: float, digits: int, reason: str) -> Cell:
    text = interval(low, high, digits, sign=True)
    return Cell(text or shown(None), low if math.isfinite(low) else None, hint=reason)


def _reason(one: Comparison) -> str:
    """Why a test is withheld."""
    return one.test.withheld.removeprefix("no test: ") if one.verdict == "withheld" else ""


def _within(found: Sequence[Comparison]) -> str:
    """What intervals over images do not speak of, for the heading of their column."""
    notes = {one.images.note.split(";")[0] for one in found if not isinstance(one.images, str)}
    within = sorted(note for note in notes if note.startswith("within"))
    return f", {within[0]}" if within else ""


def _record(one: Comparison) -> dict[str, Value]:
    images = one.images
    over_images: dict[str, Value] = {"images_low": math.nan, "images_high": math.nan, "groups": None}
    note = images if isinstance(images, str) else images.note
    if not isinstance(images, str):
        over_images = {"images_low": images.low, "images_high": images.high, "groups": images.groups}
    return {
        "variant": one.variant,
        "metric": one.metric,
        "difference": one.test.difference,
        "seeds_low": one.test.interval.low,
        "seeds_high": one.test.interval.high,
        **over_images,
        "images_note": note,
        "p_holm": one.t_adjusted,
        "verdict": one.verdict,
        "detectable": one.detectable,
        "seeds": len(one.test.seeds),
        "missing": " ".join(map(str, one.test.missing)),
    }


def _notes(numbers: Analysis) -> list[str]:
    found = numbers.comparisons
    notes = [
        "Over seeds: the variance of training, by Student's paired t, which takes the differences to be "
        "normal. Over images: the variance of data; the figure of the whole set is computed anew from "
        "resampled images of the same trained runs. Images are no replicates of a training: only the first "
        "of the two is tested.",
        f"p is corrected for {count(found[0].family, 'comparison')} after Holm (level {LEVEL:g}). "
        "Detectable: the true difference that 8 of 10 studies with so many seeds and this spread would "
        "show.",
    ]
    if any(numbers.optimistic(metric) for metric in numbers.asked.metrics):
        notes.append(OPTIMISTIC_NOTE)
    notes += chosen_notes(numbers, numbers.asked.metrics)
    said = {one.images.note for one in found if not isinstance(one.images, str) and one.images.note}
    notes += [
        f"Intervals over images speak of what lies {note}." for note in sorted(said) if "within" in note
    ]
    notes += [f"Over images: {note}." for note in sorted(said) if "within" not in note]
    for reason in dict.fromkeys(one.images for one in found if isinstance(one.images, str)):
        names = dict.fromkeys(one.variant for one in found if one.images == reason)
        notes.append(f"No interval over images for {listed(names, most=4)}: {reason}.")
    return notes


def _limits(numbers: Analysis) -> list[str]:
    """What so many seeds could not have shown, and where pairing gains nothing."""
    lines = []
    complete = [one for one in numbers.comparisons if one.test.seeds and not one.test.missing]
    if complete and not complete[0].flips_attainable:
        one = complete[0]
        lines.append(
            f"The sign-flip test cannot be significant with {count(len(one.test.seeds), 'seed')}, whatever "
            f"they show: with {count(one.family, 'comparison')} it takes {seeds_needed(one.family, LEVEL)}."
        )
    apart = dict.fromkeys(one.variant for one in numbers.comparisons if one.test.welch_p is not None)
    if apart:
        lines.append(
            f"The seeds of {listed(apart, most=4)} are not distinguishably correlated with those of "
            f"{numbers.asked.reference}: pairing gains nothing there, and Welch's test stands beside."
        )
    return lines


def _chart(found: Sequence[Comparison], metric: str, reference: str) -> Chart:
    rows: list[dict[str, object]] = []
    for one in found:
        test = one.test.interval
        if math.isfinite(test.low):
            rows.append(_bar(one.variant, "seeds", one.test.difference, test.low, test.high))
        if not isinstance(one.images, str) and math.isfinite(one.images.low):
            rows.append(_bar(one.variant, "images", one.images.difference, one.images.low, one.images.high))
    seeds = [
        {"variant": one.variant, "seed": seed, "difference": difference}
        for one in found
        for seed, difference in zip(one.test.seeds, one.test.differences, strict=True)
    ]
    caption = f"Difference of {title(metric)} from {reference}; ticks are single seeds."
    spec = differences_chart(rows, seeds, title(metric), reference, [one.variant for one in found])
    return Chart(f"differences-{metric.replace('/', '-')}", caption, spec)


def _bar(variant: str, of: str, difference: float, low: float, high: float) -> dict[str, object]:
    return {"variant": variant, "of": of, "difference": difference, "low": low, "high": high}
