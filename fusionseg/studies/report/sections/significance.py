"""All tests of each comparison side by side: paired t, sign flips, Welch, and the correlation of seeds."""

from fusionseg.pages.blocks import Cell, Column, Table, Value
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.comparisons import LEVEL, Comparison
from fusionseg.studies.report.figures import title
from fusionseg.studies.report.numbers import count, p_value, shown
from fusionseg.studies.statistics import seeds_needed


def significance_table(numbers: Analysis) -> Table:
    """The table of all tests over seeds.

    Args:
        numbers: The numbers of the report.
    """
    several = len(numbers.asked.metrics) > 1
    columns = [
        Column("variant"),
        *([Column("figure")] if several else []),
        Column("seeds", True),
        Column("paired t", True, "p-value; assumes normal differences"),
        Column("Holm", True, "corrected for all comparisons; this one decides"),
        Column(
            "sign flips",
            True,
            "p-value of the exact permutation test; assumes no distribution; from 6 seeds on",
        ),
        Column("Holm", True, "corrected for all comparisons"),
        Column("correlation", True, "of the two variants over seeds"),
        Column("Welch", True, "p-value without pairs, where seeds are not distinguishably correlated"),
    ]
    return Table(
        "tests",
        f"Tests over seeds against {numbers.asked.reference} (p-values).",
        columns,
        [_row(one, several) for one in numbers.comparisons],
        [_record(one) for one in numbers.comparisons],
        ["The paired t test after Holm's correction decides; the others stand beside it and choose nothing."],
    )


def _row(one: Comparison, several: bool) -> list[Cell]:
    test = one.test
    cannot = "" if one.flips_attainable or one.flips_adjusted is None else "cannot be significant"
    hint = f"with {count(len(test.seeds), 'seed')}; {seeds_needed(one.family, LEVEL)} could" if cannot else ""
    return [
        Cell(one.variant),
        *([Cell(title(one.metric))] if several else []),
        Cell(str(len(test.seeds)), len(test.seeds)),
        Cell(p_value(test.t_p), test.t_p, hint=test.withheld),
        Cell(p_value(one.t_adjusted), one.t_adjusted, hint=test.withheld),
        Cell(p_value(test.sign_flip_p), test.sign_flip_p),
        Cell(p_value(one.flips_adjusted), one.flips_adjusted, detail=cannot, hint=hint),
        Cell(shown(test.correlation, 2), test.correlation),
        Cell(p_value(test.welch_p), test.welch_p),
    ]


def _record(one: Comparison) -> dict[str, Value]:
    test = one.test
    return {
        "variant": one.variant,
        "metric": one.metric,
        "seeds": len(test.seeds),
        "t_p": test.t_p,
        "t_p_holm": one.t_adjusted,
        "sign_flip_p": test.sign_flip_p,
        "sign_flip_p_holm": one.flips_adjusted,
        "sign_flips_attainable": one.flips_attainable,
        "correlation": test.correlation,
        "welch_p": test.welch_p,
        "comparisons": one.family,
        "withheld": test.withheld,
    }
