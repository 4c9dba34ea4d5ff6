import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.special import log_softmax

from fusionseg.calibration import files
from fusionseg.calibration.measured import LEVELS, Calibration
from fusionseg.calibration.tables import POINTS, risk_curve
from fusionseg.metrics.risk_coverage import risk_coverage
from fusionseg.sample import VOID, Classes, Prediction, Truth

CLASSES = Classes(("sky", "road"), ((0, 0, 0), (1, 1, 1)))


def measured(tasks: tuple[str, ...] = ("semantic", "region"), void: bool = False) -> Calibration:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (2, 40, 50))
    answers = {"semantic": log_softmax(logits, 0), "region": rng.normal(0, 2, (40, 50))}
    names = {"semantic": "log_probabilities", "region": "contour_logits"}
    calibration = Calibration(CLASSES, {"semantic": 1.5})
    semantic = np.full((40, 50), VOID) if void else rng.integers(0, 2, (40, 50))
    region = np.zeros((40, 50), int) if void else rng.integers(1, 3, (40, 50))
    prediction = Prediction("a", {names[task]: answers[task] for task in tasks})
    calibration.add(prediction, Truth(semantic, region))
    return calibration


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_bins_give_the_calibration_errors(tmp_path: Path) -> None:
    calibration = measured()
    files.write(calibration, tmp_path, "val")
    table = rows(tmp_path / "val_calibration.csv")
    found = calibration.figures()

    def error(of: str, temperature: str) -> float:
        chosen = [r for r in table if r["of"] == of and r["temperature"] == temperature and r["share"]]
        pixels = sum(int(r["pixels"]) for r in chosen)
        return sum(
            int(r["pixels"]) / pixels * abs(float(r["probability"]) - float(r["share"])) for r in chosen
        )

    assert error("most likely", "1.5") == pytest.approx(found["metrics"]["ece"])
    assert error("most likely", "1.0") == pytest.approx(found["untempered"]["ece"])
    assert error("road", "1.5") == pytest.approx(found["per_class"]["road"]["ece"])
    assert error("boundary", "1.0") == pytest.approx(found["metrics"]["boundary_ece"])
    assert len(table) == 15 * (2 * 3 + 1)


def test_the_curve_is_thinned_evenly_and_ends_with_all_pixels() -> None:
    for one in measured().measured():
        coverage, risk = risk_curve(one)
        whole = risk_coverage(one.sums[LEVELS[one.task]])
        assert len(coverage) <= POINTS
        assert set(zip(coverage, risk, strict=True)) <= set(zip(*whole, strict=True))
        assert coverage[-1] == 1
        assert np.diff(coverage).max() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [("semantic",), ("region",)])
def test_a_picture_is_drawn_of_what_there_is(tasks: tuple[str, ...], tmp_path: Path) -> None:
    files.write(measured(tasks), tmp_path, "test")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "test_calibration.csv",
        "test_calibration.png",
        "test_risk_coverage.csv",
    ]
    with Image.open(tmp_path / "test_calibration.png") as picture:
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 20
    assert {row["task"] for row in rows(tmp_path / "test_risk_coverage.csv")} == set(tasks)


@pytest.mark.slow
def test_files_of_an_earlier_evaluation_are_removed(tmp_path: Path) -> None:
    files.write(measured(), tmp_path, "val")
    files.write(measured(), tmp_path, "test")
    files.remove(tmp_path, "val")
    assert len(list(tmp_path.glob("test_*"))) == len(list(tmp_path.iterdir())) == 3
    files.write(measured(void=True), tmp_path, "test")
    assert not list(tmp_path.iterdir())
