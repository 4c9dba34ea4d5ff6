import math
from statistics import fmean

import pytest

from fusionseg.corruptions import CORRUPTIONS
from fusionseg.robustness.comparison import Comparison, rows, table
from fusionseg.robustness.results import Results

CHOSEN = [c for c in CORRUPTIONS if c.name in ("brightness", "gamma", "gaussian_noise", "fog", "rotation")]


def results(scale: float = 1.0, trained_on: tuple[str, ...] = (), figure: str = "miou") -> Results:
    """Figures that say what they are of: hundreds are the corruption, the rest the severity."""
    found = Results({}, "same", 7, trained_on, {figure: 0.9 * scale, "other": 1.0})
    for i, corruption in enumerate(CHOSEN, 1):
        for severity in (1, 3):
            found.add(
                corruption.name, severity, {figure: scale * (i + severity / 10) / 10, "other": math.nan}
            )
    return found


def test_every_family_counts_once_and_those_of_training_do_not() -> None:
    own = results()
    comparison = Comparison({"a": own}, CHOSEN, (1, 3))
    photometric, noise, weather, geometric = fmean((0.12, 0.22)), 0.32, 0.42, 0.52
    expected = fmean((photometric, noise, weather, geometric))
    assert own.mean("miou", comparison.names(), (1, 3)) == pytest.approx(expected)
    own.trained_on = ("photometric", "geometric")
    assert own.mean("miou", comparison.names(), (1, 3)) == pytest.approx(fmean((noise, weather)))
    assert comparison.left_out == ["photometric", "geometric"]
    assert comparison.curve("a", "miou") == pytest.approx([0.9, fmean((0.31, 0.41)), fmean((0.33, 0.43))])
    assert comparison.curve("a", "miou", "photometric") == pytest.approx([0.9, 0.16, 0.18])


def test_of_several_runs_what_any_was_trained_on_is_left_out_for_all() -> None:
    comparison = Comparison({"a": results(), "b": results(0.5, ("weather",))}, CHOSEN, (1, 3))
    assert comparison.left_out == ["weather"]
    assert "fog" not in comparison.names()


def test_what_could_not_be_measured_is_left_out_of_means() -> None:
    own = results()
    own.corrupted["fog"][3]["miou"] = math.nan
    assert own.mean("miou", ["fog"], (1, 3)) == pytest.approx(0.41)
    assert math.isnan(own.mean("other", ["fog"], (1, 3)))
    assert math.isnan(own.mean("miou", [], (1, 3)))


def test_the_table_shows_runs_beside_each_other() -> None:
    comparison = Comparison({"runs/a": results(1.0, ("geometric",)), "runs/b": results(0.5)}, CHOSEN, (1, 3))
    lines = table(comparison).splitlines()
    assert lines[:3] == ["7 images of val; means over severities 1, 3", "(1) runs/a", "(2) runs/b"]
    cells = {line[:20].strip(): line[35:].split() for line in lines[4:-1]}
    assert lines[3].split() == ["corruption", "family", "mIoU", "(1)", "mIoU", "(2)"]
    assert cells["clean"] == ["0.9000", "0.4500"]
    assert cells["gaussian_noise"] == ["0.3200", "0.1600"]
    assert [*cells] == ["clean", *(c.name for c in CHOSEN), "mean of families"]
    assert cells["mean of families"] == [
        f"{fmean((0.17, 0.32, 0.42)):.4f}",
        f"{fmean((0.17, 0.32, 0.42)) / 2:.4f}",
    ]
    assert lines[-1] == "* left out of the mean, as training shows it too: geometric"
    assert next(line for line in lines if line.startswith("rotation")).split()[1:3] == ["geometric", "*"]


def test_a_run_without_a_figure_has_no_column_and_what_was_not_measured_is_a_dash() -> None:
    comparison = Comparison({"a": results(), "b": results(figure="covering")}, CHOSEN, (1, 3))
    assert comparison.figures == {"miou": "mIoU", "covering": "covering"}
    comparison.runs["b"].corrupted["fog"][1]["covering"] = math.nan
    comparison.runs["b"].corrupted["fog"][3]["covering"] = math.nan
    lines = table(comparison).splitlines()
    assert lines[3].split() == ["corruption", "family", "mIoU", "(1)", "covering", "(2)"]
    assert lines[4].split() == ["clean", "0.9000", "0.9000"]
    assert next(line for line in lines if line.startswith("fog")).split()[2:] == ["0.4200", "-"]


def test_runs_without_classes_and_regions_are_shown_by_their_score() -> None:
    assert Comparison({"a": results(figure="depth_rmse")}, CHOSEN, (1, 3)).figures == {"score": "score"}


def test_the_rows_have_every_figure_of_every_severity_and_the_means() -> None:
    found = rows(Comparison({"a": results(1.0, ("geometric",)), "b": results(0.5)}, CHOSEN, (1, 3)))
    assert len(found) == 2 * (1 + len(CHOSEN) * 3 + 1)
    assert len({tuple(row) for row in found}) == 1
    by_place = {(row["run"], row["corruption"], row["severity"]): row for row in found}
    assert by_place["b", "fog", "3"]["miou"] == pytest.approx(0.215)
    assert by_place["a", "fog", "mean"]["miou"] == pytest.approx(0.42)
    assert by_place["a", "clean", "0"]["miou"] == 0.9
    assert (by_place["a", "rotation", "1"]["in_mean"], by_place["a", "fog", "1"]["in_mean"]) == ("no", "yes")
    assert by_place["a", "mean of families", "mean"]["miou"] == pytest.approx(fmean((0.17, 0.32, 0.42)))
