"""What a report says of runs whose decoders were tuned."""

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from fusionseg.pages.blocks import Table, Words
from fusionseg.studies.report.analysis import Analysis, analysis
from fusionseg.studies.report.build import sections
from fusionseg.studies.report.question import notices, question
from fusionseg.studies.report.sections import result, scores
from fusionseg.studies.results import collect

Writer = Callable[..., Path]
MARK = "\N{SECTION SIGN}"


@pytest.fixture
def numbers(study: Writer, variant: Any) -> Callable[..., Analysis]:
    """A study of the variants a, b and c with seeds 0 and 1, some of whose runs were tuned."""

    def of(tuned: Collection[str], split: str = "val") -> Analysis:
        variants = {"a": variant((0.8, 0.8)), "b": variant((0.8, 0.7)), "c": variant((0.8, 0.75))}
        path = study(variants, range(2), images=4, test=True)
        for run in collect([path]).runs:
            if f"{run.variant}{run.seed}" in tuned:
                file = run.sums(split).with_suffix(".json")
                decoder = {
                    "parameters": {"region": {"threshold": 0.4}},
                    "metric": "val/covering",
                    "trials": 9,
                }
                file.write_text(json.dumps({**json.loads(file.read_text()), "decoder": decoder}))
        return analysis(question(collect([path])), resamples=20)

    return of


def cell(numbers: Analysis, variant: str, column: str, name: str = "scores") -> str:
    found = next(
        block for block in scores.section(numbers).blocks if isinstance(block, Table) and block.name == name
    )
    row = next(row for row in found.rows if row[0].text == variant)
    return next(c.text for c, known in zip(row, found.columns, strict=True) if known.title == column)


def words(numbers: Analysis) -> str:
    blocks = result.section(numbers).blocks
    return "\n".join(line for block in blocks if isinstance(block, Words) for line in block.paragraphs)


def test_tuned_decoders_are_compared_only_with_tuned_ones(numbers: Callable[..., Analysis]) -> None:
    found = numbers(["a0", "a1", "b0", "b1"])
    assert {one.variant for one in found.comparisons} == {"b"}
    line = (
        "Tuned decoders (a and b) are not compared with untuned ones: tune all runs and evaluate them again"
    )
    assert f"{line}, both with --checkpoint last, or" in words(found)
    assert sections(found)


def test_a_variant_of_which_one_run_is_tuned_is_not_compared(numbers: Callable[..., Analysis]) -> None:
    found = numbers(["b1"])
    assert {one.variant for one in found.comparisons} == {"c"}
    assert notices(found.asked)[-1].startswith("tuned decoders (b) are not compared with untuned ones")


@pytest.mark.slow
def test_where_all_are_tuned_all_are_compared_and_marked(numbers: Callable[..., Analysis]) -> None:
    found = numbers([f"{name}{seed}" for name in "abc" for seed in range(2)])
    assert {one.variant for one in found.comparisons} == {"b", "c"}
    assert not [line for line in notices(found.asked) if "tuned" in line]
    assert cell(found, "c", "val covering").endswith(MARK)
    assert not cell(found, "c", "test covering", "scores-test").endswith(MARK)
    text = words(found)
    assert "Validation images chose parameters of the decoders of a, b and c, so that the validation" in text


def test_test_figures_of_tuned_decoders_are_marked_and_not_optimistic(
    numbers: Callable[..., Analysis],
) -> None:
    found = numbers(["a0", "a1"], split="test")
    assert cell(found, "a", "test covering", "scores-test").endswith(MARK)
    assert not cell(found, "b", "test covering", "scores-test").endswith(MARK)
    assert not cell(found, "a", "val covering").endswith(MARK)
    tables = {b.name: b for b in scores.section(found).blocks if isinstance(b, Table)}
    [note] = [note for note in tables["scores-test"].notes if note.startswith(MARK)]
    assert note == f"{MARK} Of decoders with parameters that validation images chose."
    records = {(r["variant"], r["metric"]): r for r in tables["figures"].records}
    assert records["a", "test/covering"]["tuned"]
    assert not records["a", "test/covering"]["optimistic"]
    assert not records["a", "val/covering"]["tuned"]


@pytest.mark.slow
def test_without_tuning_nothing_is_said_of_it(numbers: Callable[..., Analysis]) -> None:
    found = numbers([])
    assert "tuned" not in words(found).lower()
    assert "Validation images chose nothing" in words(found)
    assert MARK not in cell(found, "a", "val covering")
