"""The section of selection rules, against the curves of the runs."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fusionseg.callbacks import SelectionRules
from fusionseg.pages.blocks import Table
from fusionseg.studies.report.analysis import analysis
from fusionseg.studies.report.build import BEFORE
from fusionseg.studies.report.exports import as_csv, as_markdown
from fusionseg.studies.report.question import question
from fusionseg.studies.report.sections import selection
from fusionseg.studies.results import collect

Writer = Callable[..., Path]


def select(run: Path, *rules: str) -> None:
    """Writes the rules of a run as the callback does at the end of its training."""
    trainer: Any = SimpleNamespace(default_root_dir=str(run), is_global_zero=True)
    SelectionRules(list(rules)).on_fit_end(trainer, None)  # type: ignore[arg-type]


def made(path: Path) -> Table | None:
    section = selection.section(analysis(question(collect([path])), resamples=20))
    if section is None:
        return None
    [table] = section.blocks
    assert isinstance(table, Table)
    return table


def curves(path: Path, variant: int, figure: str) -> list[list[float]]:
    """A figure's values of every epoch of the three seeds of a variant."""
    found = []
    for seed in range(3):
        with (path / f"{3 * variant + seed:03d}/{seed}/metrics.csv").open(newline="") as file:
            found.append([float(row[figure]) for row in csv.DictReader(file) if row[figure]])
    return found


@pytest.fixture
def ruled(study: Writer, variant: Any) -> Path:
    """A study of two variants and three seeds of 12 epochs, with the rules of all runs."""
    path = study({"a": variant((0.8, 0.8)), "b": variant((0.7, 0.8))}, range(3), epochs=12)
    for run in sorted(path.glob("0*/[0-9]")):
        select(run, "best", "mean_of_last_10")
    return path


def test_rules_stand_side_by_side_with_their_spread_and_difference_over_seeds(ruled: Path) -> None:
    table = made(ruled)
    assert table is not None
    assert [column.title for column in table.columns] == [
        "variant",
        "figure",
        "last",
        "best",
        "mean of last 10",
    ]
    rows = {(row[0].text, row[1].text): row[2:] for row in table.rows}
    assert set(rows) >= {
        (name, figure) for name in "ab" for figure in ("val score", "val mIoU", "val covering")
    }
    for number, name in enumerate("ab"):
        values = curves(ruled, number, "val/miou")
        chosen = [int(np.argmax(scores)) for scores in curves(ruled, number, "val/score")]
        last = np.array([own[-1] for own in values])
        best = np.array([own[epoch] for own, epoch in zip(values, chosen, strict=True)])
        mean = np.array([np.mean(own[-10:]) for own in values])
        for cell, expected in zip(rows[name, "val mIoU"], (last, best, mean), strict=True):
            assert cell.value == pytest.approx(expected.mean(), rel=1e-12)
            assert expected.std(ddof=1) > 0.002, "or there would be more decimals"
            assert cell.text == f"{expected.mean():.3f} ± {expected.std(ddof=1):.3f}"
        change, spread = (mean - last).mean(), (mean - last).std(ddof=1)
        expected_detail = f"{change:+.3f} ± {spread:.3f}".replace("-", "\N{MINUS SIGN}")
        assert rows[name, "val mIoU"][2].detail == expected_detail
        assert rows[name, "val mIoU"][0].detail == ""


def test_the_csv_file_has_every_figure_and_rule(ruled: Path) -> None:
    table = made(ruled)
    assert table is not None
    [record] = [
        record
        for record in table.records
        if (record["variant"], record["metric"], record["rule"]) == ("b", "val/pq", "best")
    ]
    values = curves(ruled, 1, "val/pq")
    chosen = [int(np.argmax(scores)) for scores in curves(ruled, 1, "val/score")]
    changes = [own[epoch] - own[-1] for own, epoch in zip(values, chosen, strict=True)]
    assert record["difference_mean"] == pytest.approx(np.mean(changes), abs=1e-12)
    assert record["difference_spread"] == pytest.approx(np.std(changes, ddof=1), abs=1e-12)
    assert record["seeds"] == 3


def test_the_page_has_the_section_and_its_table_is_exported(ruled: Path) -> None:
    assert selection in BEFORE
    table = made(ruled)
    assert table is not None
    assert "mean of last 10" in as_markdown(table)
    assert as_csv(table).startswith("variant,metric,rule,mean,spread,difference_mean,")


def test_a_variant_of_which_a_run_lacks_the_rules_has_no_row(ruled: Path) -> None:
    (ruled / "001/1/selection_rules.json").unlink()
    table = made(ruled)
    assert table is not None
    assert {row[0].text for row in table.rows} == {"b"}
    (ruled / "004/1/selection_rules.json").write_text("{")
    assert made(ruled) is None


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "null",
        "{}",
        '{"ours": "last", "rules": []}',
        '{"ours": [], "rules": {"last": {"figures": {}}}}',
        '{"ours": "last", "rules": {"best": {"figures": {}, "differences": {}}}}',
        '{"ours": "last", "rules": {"last": {}}}',
        '{"ours": "last", "rules": {"last": {"figures": {"val/miou": "much"}}}}',
        '{"ours": "last", "rules": {"last": {"figures": {}}, "best": {"figures": {}}}}',
    ],
)
def test_a_file_of_another_form_counts_as_none(text: str, ruled: Path) -> None:
    (ruled / "001/1/selection_rules.json").write_text(text)
    table = made(ruled)
    assert table is not None
    assert {row[0].text for row in table.rows} == {"b"}


def test_only_rules_that_all_runs_have_are_compared(ruled: Path) -> None:
    select(ruled / "000/0", "mean_of_last_10", "best_of_each")
    table = made(ruled)
    assert table is not None
    assert [column.title for column in table.columns[2:]] == ["last", "mean of last 10"]


def test_without_rules_there_is_no_section(study: Writer, variant: Any) -> None:
    assert made(study({"a": variant()}, range(2))) is None


def test_an_undefined_figure_is_a_dash(study: Writer, variant: Any) -> None:
    path = study({"a": variant()}, range(2))
    for run in path.glob("0*/[0-9]"):
        rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
        with (run / "metrics.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows({**row, "val/score": math.nan if row["val/score"] else ""} for row in rows)
        select(run, "best")
    table = made(path)
    assert table is not None
    [row] = [row for row in table.rows if row[1].text == "val score"]
    assert [cell.text for cell in row[2:]] == ["\N{EN DASH}", "\N{EN DASH}"]
