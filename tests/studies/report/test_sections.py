"""What the sections say, against the figures of the runs."""

import csv
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusionseg.pages.blocks import Chart, Log, Section, Table, Words
from fusionseg.studies.axes import crossed
from fusionseg.studies.report.analysis import Analysis, analysis
from fusionseg.studies.report.build import sections
from fusionseg.studies.report.differing_images import differing_images
from fusionseg.studies.report.question import question
from fusionseg.studies.report.sections import axes, classes, costs, curves, oracles, result, tradeoff
from fusionseg.studies.results import collect

CENTER = 'center <b>&"x"'
Writer = Callable[..., Path]


def numbers_of(path: Path, *given: Any) -> Analysis:
    return analysis(question(collect([path]), *given), resamples=60)


@pytest.fixture(scope="module")
def of_heads(heads: Path) -> Analysis:
    return numbers_of(heads)


@pytest.fixture(scope="module")
def of_grid(alpha_beta: Path) -> Analysis:
    return numbers_of(alpha_beta)


@pytest.fixture(scope="module")
def of_tasks(joint_vs_single: Path) -> Analysis:
    return numbers_of(joint_vs_single)


def table(made: Sequence[Section], name: str) -> Table:
    [found] = [b for s in made for b in s.blocks if isinstance(b, Table) and b.name == name]
    return found


def chart(section: Section | None, name: str) -> Chart:
    assert section
    [found] = [block for block in section.blocks if isinstance(block, Chart) and block.name == name]
    return found


def cells(found: Table, variant: str) -> dict[str, Any]:
    """The cells of a variant's first row by column."""
    row = next(row for row in found.rows if row[0].text == variant)
    return {column.title: cell for column, cell in zip(found.columns, row, strict=True)}


def words(numbers: Analysis) -> str:
    blocks = result.section(numbers).blocks
    return "\n".join(line for block in blocks if isinstance(block, Words) for line in block.paragraphs)


@pytest.mark.slow
def test_bold_is_what_is_better_after_correction_and_nothing_else(of_heads: Analysis) -> None:
    scores = table(sections(of_heads), "scores")
    bold = {
        (row[0].text, column.title)
        for row in scores.rows
        for cell, column in zip(row, scores.columns, strict=True)
        if cell.bold
    }
    assert bold == {(CENTER, "val score")}


def test_scores_state_mean_spread_and_interval_of_the_seeds(of_heads: Analysis) -> None:
    values = list(of_heads.asked.results.figures("affinity", "val/covering").values())
    cell = cells(table(sections(of_heads), "scores"), "affinity")["val covering"]
    assert cell.text == f"{np.mean(values):.3f} \N{PLUS-MINUS SIGN} {np.std(values, ddof=1):.3f}"
    [record] = [
        r
        for r in table(sections(of_heads), "scores").records
        if (r["variant"], r["metric"]) == ("affinity", "val/covering")
    ]
    assert record["mean"] == pytest.approx(np.mean(values), rel=1e-12)


def test_a_missing_seed_is_shown_and_the_interval_withheld(of_heads: Analysis) -> None:
    found = cells(table(sections(of_heads), "scores"), "deep_wide")
    assert (found["seeds"].text, found["seeds"].detail) == ("6 of 7", "without 3")
    assert found["val score"].detail == ""
    difference = cells(table(sections(of_heads), "differences"), "deep_wide")
    assert (difference["verdict"].text, difference["p, Holm"].text) == ("withheld", "\N{EN DASH}")


def test_a_figure_that_one_seed_has_not_is_withheld_as_if_the_seed_were_missing(
    study: Writer, variant: Any
) -> None:
    path = study({"a": variant(), "b": variant((0.7, 0.8))}, range(3), images=3)
    file = path / "001/1/evaluation/val.json"
    content = json.loads(file.read_text())
    content["metrics"] |= {"pq": None}
    file.write_text(json.dumps(content))
    numbers = numbers_of(path, "val/score")
    found = cells(table(sections(numbers), "scores"), "a")
    assert found["seeds"].text == "3"
    assert (found["val PQ"].detail, found["val PQ"].hint) == ("without 1", "undefined with seeds 1")
    records = {r["metric"]: r for r in table(sections(numbers), "scores").records if r["variant"] == "a"}
    assert (records["val/pq"]["seeds"], records["val/pq"]["missing"]) == (2, "1")
    assert math.isnan(numbers.mean("a", "val/pq").low)
    assert math.isfinite(numbers.mean("a", "val/miou").low)


@pytest.mark.slow
def test_what_is_not_measured_is_last_however_a_table_is_sorted(of_tasks: Analysis) -> None:
    cell = cells(table(sections(of_tasks), "scores"), "region")["val mIoU"]
    assert (cell.text, cell.key) == ("\N{EN DASH}", "\N{EN DASH}")  # as page.js knows missing ones


def test_damaged_files_of_a_run_leave_a_report_of_the_others(study: Writer, variant: Any) -> None:
    path = study({"a": variant(), "b": variant((0.7, 0.8))}, range(3), images=3)
    (path / "000/0/evaluation/val.json").write_text('{"metrics": {"sco')
    (path / "001/1/evaluation/val.npz").write_bytes(b"PK")
    (path / "001/1/evaluation/val_oracle.json").write_text("[]")
    (path / "001/1/evaluation/val.csv").write_bytes(b"name,\xff\n")
    numbers = numbers_of(path)
    assert differing_images(numbers, 2, lambda *_: {}) == []
    assert numbers.asked.missing("a") == [0]
    assert cells(table(sections(numbers), "scores"), "a")["seeds"].detail == "without 0"


def test_the_result_states_both_directions_with_their_uncertainty(of_heads: Analysis) -> None:
    text = words(of_heads)
    [center] = [one for one in of_heads.comparisons if one.variant == CENTER]
    low, high = center.test.interval.low, center.test.interval.high
    assert (
        f"{CENTER} is better than boundary in val score by {center.test.difference:.3f} "
        f"(95 % interval over seeds {low:.3f} to {high:.3f}, p"
    ) in text
    assert "affinity is worse than boundary in val score by 0.0" in text
    assert "For deep_wide there is no test: seed 3 missing (val score)." in text
    assert "Validation images chose nothing: every run counts with its last epoch." in text


@pytest.mark.slow
def test_no_difference_is_stated_with_what_would_have_been_found(study: Writer, variant: Any) -> None:
    numbers = numbers_of(study({"a": variant((0.8, 0.8)), "b": variant((0.8, 0.8001))}))
    [one] = numbers.comparisons
    assert one.verdict == "open"
    text = words(numbers)
    assert "No difference of b from a is shown in val score:" in text
    assert (
        f"With 5 seeds, 8 of 10 studies would show a difference of {one.detectable:.3f}; smaller ones" in text
    )


@pytest.mark.slow
def test_scores_of_chosen_epochs_and_points_are_marked_optimistic(of_grid: Analysis) -> None:
    scores = table(sections(of_grid), "scores")
    differences = table(sections(of_grid), "differences")
    assert differences.columns[1].title == "difference \N{DAGGER}"
    assert differences.columns[3].title == "over images, within these sequences only"
    assert [column.title for column in scores.columns[2:4]] == ["val score \N{DAGGER}", "val mIoU \N{DAGGER}"]
    chosen = of_grid.chosen
    assert chosen
    assert chosen.startswith("ratio=")
    marked = [row[0].text for row in scores.rows if "\N{DOUBLE DAGGER}" in row[2].text]
    assert marked == [chosen]
    costs_of = table(sections(of_grid), "costs")
    assert [row[0].text for row in costs_of.rows if "\N{DOUBLE DAGGER}" in row[1].text] == [chosen]
    for found in (scores, differences, costs_of):
        assert any("chosen among 6 variants by this very score" in note for note in found.notes)
    for name in ("front-table", "ranks"):
        assert any(chosen in note and "optimistic" in note for note in table(sections(of_grid), name).notes)
    heat = chart(axes.section(of_grid), "heat-val-score-0")
    assert sum("\N{DOUBLE DAGGER}" in cell["text"] for cell in heat.spec["data"]["values"]) == 1
    assert "by this very score" in heat.caption
    other = chart(axes.section(of_grid), "heat-val-miou-0")
    assert not any("\N{DOUBLE DAGGER}" in cell["text"] for cell in other.spec["data"]["values"])
    assert f"Validation images chose the epoch of each run and {chosen} among 6 variants" in words(of_grid)
    assert "No variant was evaluated on test images." in words(of_grid)


def test_regions_that_are_derived_from_classes_are_said_to_add_nothing(study: Writer, variant: Any) -> None:
    path = study({"a": variant(), "b": variant((0.7, 0.8))}, range(2))
    assert "connected components" not in words(numbers_of(path))
    for file in path.rglob("val.json"):
        content = json.loads(file.read_text())
        file.write_text(json.dumps(content | {"region": "a connected component of a class"}))
    assert "Regions are connected components of the classes here" in words(numbers_of(path))


def test_delta_m_is_the_mean_relative_gain(of_tasks: Analysis) -> None:
    figures = of_tasks.asked.results.figures
    gains = []
    for seed in range(5):
        semantic = figures("joint", "val/miou")[seed] / figures("semantic", "val/miou")[seed] - 1
        region = figures("joint", "val/covering")[seed] / figures("region", "val/covering")[seed] - 1
        gains.append((semantic + region) / 2)
    found = table(sections(of_tasks), "delta-m")
    assert found.records[0]["delta_m"] == pytest.approx(np.mean(gains), rel=1e-12)
    assert [row[0].text for row in found.rows] == ["joint"]
    assert re.search(
        r"baselines, Delta-m is \S+ % for joint \(95 % interval over seeds \S+ to \S+\)\.", words(of_tasks)
    )


def test_test_images_have_a_table_of_their_own_and_no_mark(of_tasks: Analysis) -> None:
    found = table(sections(of_tasks), "scores-test")
    assert found.columns[2].title == "test mIoU"
    expected = np.mean(list(of_tasks.asked.results.figures("joint", "test/miou").values()))
    assert cells(found, "joint")["test mIoU"].value == pytest.approx(expected, rel=1e-12)


def test_it_is_said_who_measured_the_test_images(joint_vs_single: Path) -> None:
    results = collect([joint_vs_single])
    results = replace(results, declared={**results.declared, "final": ["joint"]})
    note = table(sections(analysis(question(results), resamples=5)), "scores-test").notes[-1]
    assert note == (
        "The test images chose nothing here. `study --final` measured joint on them, each run once. How often "
        "semantic and region had been is not on record."
    )


def test_scores_of_different_tasks_are_not_shown(of_tasks: Analysis) -> None:
    assert "val score" not in [column.title for column in table(sections(of_tasks), "scores").columns]
    assert "their scores are not comparable" in words(of_tasks)


def test_figures_of_tasks_that_are_not_trained_are_left_out(study: Writer, variant: Any) -> None:
    path = study({"joint": variant(), "region": variant((0.3, 0.8))}, range(2), images=4)
    for file in path.glob("*/*/evaluation/val.json"):
        content = json.loads(file.read_text())
        if content["metrics"]["miou"] < 0.4:  # as where alpha is 0
            content["metrics"]["score"] = content["metrics"]["covering"]
            file.write_text(json.dumps(content))
    numbers = numbers_of(path)
    assert numbers.asked.split_score
    found = cells(table(sections(numbers), "scores"), "region")
    assert (found["val mIoU"].text, found["val PQ"].text) == ("\N{EN DASH}", "\N{EN DASH}")
    assert found["val covering"].text.startswith("0.")
    made = classes.section(numbers)
    assert made
    assert {cell["x"] for cell in chart(made, "classes-iou").spec["data"]["values"]} == {"joint"}
    assert {cell["variant"] for cell in chart(made, "confusion").spec["data"]["values"]} == {"joint"}
    rows = chart(curves.section(numbers), "curves-val-miou").spec["data"]["values"]
    assert {row["variant"] for row in rows} == {"joint"}


def test_the_front_is_of_fixed_weights_and_balancers_have_a_distance(of_grid: Analysis) -> None:
    made = tradeoff.section(of_grid)
    assert made
    found = table([made], "front-table")
    records = {record["variant"]: record for record in found.records}
    means = {
        name: [of_grid.mean(name, f"val/{key}").mean for key in ("miou", "covering")] for name in records
    }
    fixed = [name for name in records if str(name).startswith("ratio")]
    for name in fixed:
        dominated = any(
            all(a >= b for a, b in zip(means[other], means[name], strict=True))
            and means[other] != means[name]
            for other in fixed
        )
        assert records[name]["front"] == (not dominated)
    assert {records[name]["kind"] for name in ("PCGrad", "UW")} == {"adaptive balancer"}
    assert not records["PCGrad"]["front"]
    assert float(str(records["PCGrad"]["distance"])) > 0
    assert records[of_grid.chosen]["kind"] == "chosen"
    assert "of hypervolume" in chart(made, "front").caption


def test_where_all_variants_are_balancers_they_make_the_front(study: Writer, variant: Any) -> None:
    names = {"UW": (0.8, 0.7), "PCGrad": (0.7, 0.8), "MGDA": (0.6, 0.6)}
    variants = {name: variant(skill, settings={"model.balancer": name}) for name, skill in names.items()}
    made = tradeoff.section(numbers_of(study(variants, range(2), images=3)))
    assert made
    records = table([made], "front-table").records
    assert {record["variant"]: record["front"] for record in records} == {
        "UW": True,
        "PCGrad": True,
        "MGDA": False,
    }


def test_the_heat_map_has_a_cell_for_each_point_of_the_axes(of_grid: Analysis) -> None:
    found = chart(axes.section(of_grid), "heat-val-score-0")
    points = {(cell["x"], cell["y"]): cell["value"] for cell in found.spec["data"]["values"]}
    assert set(points) == {(r, s) for r in ("0.25", "0.5", "0.75") for s in ("0.5", "1.0")}
    assert points["0.5", "1.0"] == pytest.approx(of_grid.mean("ratio=0.5,scale=1.0", "val/score").mean)


def test_one_axis_is_a_line_and_three_are_several_maps(study: Writer, variant: Any) -> None:
    one = {f"b={b}": variant((0.8, b), point={"model.beta": b}) for b in (0.6, 0.8)}
    path = study(one, range(2), axes={"model.beta": {"low": 0.6, "high": 0.8}}, images=3)
    rows = chart(axes.section(numbers_of(path)), "axis-val-score").spec["data"]["values"]
    assert [row["x"] for row in rows] == ["low", "high"]


def test_three_axes_have_a_heat_map_for_each_value_of_the_third(study: Writer, variant: Any) -> None:
    variants = {
        f"{a}{b}{c}": variant((0.5 + 0.1 * a, 0.5 + 0.1 * b + 0.01 * c), point={"a": a, "b": b, "c": c})
        for a in (0, 1)
        for b in (0, 1)
        for c in (0, 1)
    }
    path = study(variants, range(1), axes={"a": [0, 1], "b": [0, 1], "c": [0, 1]}, images=2)
    made = axes.section(numbers_of(path))
    assert made
    maps = [block for block in made.blocks if isinstance(block, Chart) and "heat-val-score" in block.name]
    assert [len(block.spec["data"]["values"]) for block in maps] == [4, 4]
    assert [re.findall(r", c (\d)\.", block.caption) for block in maps] == [["0"], ["1"]]
    assert ["by this very score" in block.caption for block in maps] == [False, True]


@pytest.mark.parametrize(
    "values",
    [[[64, 64], [96, 96]], [{"class_path": "a.UW"}, {"class_path": "a.DWA"}], {"small": [64], "large": [96]}],
)
def test_the_further_axes_of_heat_maps_may_have_values_with_parts(
    values: Any, study: Writer, variant: Any
) -> None:
    declared = {"model.alpha": [0, 1], "model.beta": [0, 1], "data.crop_size": values}
    variants = {
        one.name: variant((0.6, 0.6 + number / 100), point=one.point)
        for number, one in enumerate(crossed(declared, {}))
    }
    made = axes.section(numbers_of(study(variants, [0], axes=declared, images=2)))
    assert made
    maps = [block for block in made.blocks if isinstance(block, Chart) and "heat-val-score" in block.name]
    assert [len(block.spec["data"]["values"]) for block in maps] == [4, 4]


def test_curves_are_means_and_ranges_of_the_seeds(of_heads: Analysis) -> None:
    found = chart(curves.section(of_heads), "curves-val-score")
    logged = []
    for run in of_heads.asked.finished("affinity"):
        with (run.folder / "metrics.csv").open() as file:
            logged.append([float(row["val/score"]) for row in csv.DictReader(file) if row["val/score"]][2])
    [row] = [r for r in found.spec["data"]["values"] if (r["variant"], r["epoch"]) == ("affinity", 3)]
    assert (row["mean"], row["low"], row["high"]) == pytest.approx(
        (np.mean(logged), min(logged), max(logged)), abs=1e-5
    )
    assert row["seeds"] == 7


def test_long_curves_are_thinned_out_and_keep_their_end(study: Writer, variant: Any) -> None:
    path = study({"a": variant(), "b": variant((0.7, 0.8))}, range(1), images=2, epochs=1000)
    rows = chart(curves.section(numbers_of(path)), "curves-val-score").spec["data"]["values"]
    epochs = [row["epoch"] for row in rows if row["variant"] == "a"]
    assert len(epochs) <= 102
    assert (epochs[0], epochs[-1]) == (1, 1000)


def test_classes_are_means_over_seeds_and_confusion_rows_add_up(of_heads: Analysis) -> None:
    made = classes.section(of_heads)
    ious = [run.per_class["val"]["car"]["iou"] for run in of_heads.asked.finished("affinity")]
    [cell] = [
        c
        for c in chart(made, "classes-iou").spec["data"]["values"]
        if (c["x"], c["y"]) == ("affinity", "car")
    ]
    assert cell["value"] == pytest.approx(np.mean(ious), rel=1e-12)
    shares = chart(made, "confusion").spec["data"]["values"]
    sky = [c["share"] for c in shares if (c["variant"], c["truth"]) == ("boundary", "sky")]
    assert sum(sky) == pytest.approx(1, abs=1e-3)
    right = next(c for c in shares if (c["variant"], c["truth"], c["answer"]) == ("boundary", "sky", "sky"))
    assert right["share"] > 0.5


def test_cost_stands_beside_quality(of_tasks: Analysis) -> None:
    made = costs.section(of_tasks)
    assert made
    found = {record["variant"]: record for record in table([made], "costs").records}
    assert found["joint"]["parameters"] == 2_200_000
    assert found["semantic"]["seconds"] == pytest.approx(62)
    assert cells(table([made], "costs"), "joint")["memory, GiB"].text == "2.00"


def test_failed_runs_have_the_end_of_their_log_and_every_row_its_command(of_heads: Analysis) -> None:
    [runs] = [section for section in sections(of_heads) if section.title == "Runs"]
    [log] = [block for block in runs.blocks if isinstance(block, Log)]
    assert (log.title, log.text) == ("deep_wide, seed 3: failed", "error: loss is NaN at step 12")
    rows = table([runs], "runs").rows
    assert len(rows) == 28
    assert all(row[-1].text.startswith("python -m fusionseg.fit --config ") for row in rows)
    assert [row[2].text for row in rows if row[0].text == "deep_wide"] == ["finished"] * 3 + ["failed"] + [
        "finished"
    ] * 3


def test_versions_that_differ_are_all_shown(study: Writer, variant: Any) -> None:
    path = study({"a": variant(), "b": variant((0.7, 0.8))}, range(1), images=2)
    file = next(path.glob("000/0/summary.json"))
    content = json.loads(file.read_text())
    content["versions"]["torch"] = "2.99"
    file.write_text(json.dumps(content))
    found = cells(table(sections(numbers_of(path)), "made-with"), "torch")["value"]
    assert (found.text, found.detail) == ("2.99, 2.15.0", "2 values among the runs")


def test_oracles_stand_beside_what_is_reached(study: Writer, variant: Any) -> None:
    path = study({"a": variant(), "b": variant((0.7, 0.8))}, range(1), images=2)
    assert oracles.section(numbers_of(path)) is None
    (path / "001/0/evaluation/val_oracle.json").write_text(
        json.dumps({"metrics": {"covering": 0.97, "voi": None}})
    )
    made = oracles.section(numbers_of(path))
    assert made
    rows = table([made], "oracles").rows
    assert [[cell.text for cell in row] for row in rows][1] == ["b", "oracle", "0.970"]


def test_pruned_variants_are_in_no_test_and_no_front_but_are_said(study: Writer, variant: Any) -> None:
    variants = {f"t{i}": variant((0.7 + i / 100, 0.8 - i / 100), point={"x": i}) for i in range(4)}
    variants["t4"] = variant((0.95, 0.95), point={"x": 4}, status={1: "pruned"})
    numbers = numbers_of(study(variants, range(2), axes={"x": [0, 1, 2, 3, 4]}, images=3))
    assert "t4" not in {one.variant for one in numbers.comparisons}
    made = tradeoff.section(numbers)
    assert made
    assert "t4" not in {record["variant"] for record in table([made], "front-table").records}
    assert "1 variant was pruned and takes part in no test and no front." in words(numbers)


def test_nothing_that_is_not_finite_is_claimed(study: Writer, variant: Any) -> None:
    numbers = numbers_of(study({"a": variant(), "b": variant((0.7, 0.7))}, [0], images=3))
    assert "nan" not in words(numbers).lower()
    assert "For b there is no test: 1 seed, of at least 2 (val score)." in words(numbers)
    assert math.isnan(numbers.comparisons[0].detectable)
