"""The ranks of the variants, and how stable they are when seeds are resampled."""

from collections.abc import Sequence

from fusionseg.metrics.directions import lower_is_better
from fusionseg.pages.blocks import Cell, Column, Section, Table, Value
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.figures import bare, title
from fusionseg.studies.report.numbers import count, listed, shown
from fusionseg.studies.report.score_parts import MAIN
from fusionseg.studies.statistics import RankedVariant, ranking


def section(numbers: Analysis) -> Section | None:
    """The table of ranks; nothing where fewer than two variants can be ranked by the same figures."""
    asked = numbers.asked
    figures = ranked_figures(numbers)
    names = [name for name in asked.variants if all(asked.counts(name, figure) for figure in figures)]
    if len(names) < 2:
        return None
    results = {name: {f: asked.results.figures(name, f) for f in figures} for name in names}
    lower = [figure for figure in figures if lower_is_better(figure)]
    found = ranking(results, lower, planned=asked.seeds)
    if len(found.variants) < 2:
        return None
    columns = [
        Column("variant"),
        *(Column(title(figure), True) for figure in figures),
        *([Column("mean rank", True)] if len(figures) > 1 else []),
        Column("first", True, "share of resamples in which it is the first"),
        Column("same place", True, "share of resamples in which it keeps its place"),
    ]
    rows = [_row(variant, len(figures)) for variant in found.variants]
    records: list[dict[str, Value]] = [
        {
            "variant": variant.name,
            **{f"rank_{figure}": rank for figure, rank in variant.ranks.items()},
            "mean_rank": variant.mean_rank,
            "place": variant.place,
            "first": variant.first,
            "same_place": variant.kept,
        }
        for variant in found.variants
    ]
    notes = [
        f"Ranks of the means over {count(len(found.seeds), 'seed')}; the shares are of 2000 resamples of the "
        "seeds. From few seeds ranks look more stable than they are."
    ]
    notes += _chosen(numbers, [variant.name for variant in found.variants])
    if found.unranked:
        notes.append(f"Not ranked, because a seed is missing: {listed(found.unranked)}.")
    return Section("Ranks", [Table("ranks", "Ranks and their stability.", columns, rows, records, notes)])


def _chosen(numbers: Analysis, ranked: Sequence[str]) -> list[str]:
    """A note on the rank of the variant that validation chose."""
    if numbers.chosen not in ranked:
        return []
    return [
        f"The place of {numbers.chosen} is optimistic: {title(numbers.asked.metric)} chose it among "
        f"{len(numbers.candidates)} variants."
    ]


def ranked_figures(numbers: Analysis) -> list[str]:
    """The figures that rank: the parts of the score where all variants have them, else the tested ones."""
    asked = numbers.asked
    if bare(asked.metric) != "score" or len(asked.metrics) > 1:
        return list(asked.metrics)
    parts = [f"{asked.split}/{name}" for name in MAIN]
    every = all(asked.counts(name, part) for name in asked.variants if asked.finished(name) for part in parts)
    return parts if every else list(asked.metrics)


def _row(variant: RankedVariant, figures: int) -> list[Cell]:
    return [
        Cell(variant.name),
        *(Cell(f"{rank:g}", rank) for rank in variant.ranks.values()),
        *([Cell(f"{variant.mean_rank:g}", variant.mean_rank)] if figures > 1 else []),
        Cell(f"{shown(100 * variant.first, 0)} %", variant.first),
        Cell(f"{shown(100 * variant.kept, 0)} %", variant.kept),
    ]
