import json
from pathlib import Path

import pytest

from fusionseg.config.errors import UsageError
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.seeds import seed_plan
from fusionseg.studies.statistics import smallest_difference

FIGURES = {
    "joint": {"miou": (0.80, 0.82, 0.81), "covering": (0.60, 0.62, 0.61)},
    "semantic": {"miou": (0.79, 0.80, 0.81)},
    "region": {"covering": (0.66, 0.67, 0.69)},
}


def written(path: Path, seeds: int = 3) -> StudyFolder:
    """A study of a joint model and two single-task ones; a run of the joint one takes 60 seconds."""
    folder = StudyFolder(path)
    runs = []
    for variant, figures in FIGURES.items():
        for seed in range(seeds):
            run = path / variant / str(seed)
            (run / "evaluation").mkdir(parents=True)
            values = {name: each[seed] for name, each in figures.items()}
            score = (values.get("miou", 1) * values.get("covering", 1)) ** (1 / len(values))
            content = {"metrics": {**values, "score": score}, "per_class": {}, "checkpoint": "last"}
            (run / "evaluation" / "val.json").write_text(json.dumps(content))
            seconds = 60 if variant == "joint" else 30
            late = 10_000 if (variant, seed) == ("joint", 0) else 0  # it was stopped, and waited
            (run / "summary.json").write_text(json.dumps({"status": "finished", "seconds": seconds + late}))
            folder.write_record(f"{variant}{seed}", {"folder": f"{variant}/{seed}", "status": "finished"})
            runs.append(
                {"variant": variant, "seed": seed, "key": f"{variant}{seed}", "folder": f"{variant}/{seed}"}
            )
    variants = [{"name": name, "settings": {}, "point": {}} for name in FIGURES]
    folder.declare({"name": "s", "metric": "val/score", "epoch": "last", "variants": variants, "runs": runs})
    return folder


def test_tasks_are_planned_for_by_their_own_figures(tmp_path: Path) -> None:
    text = seed_plan(written(tmp_path), "s", 0.02)
    assert "differences from joint; power to find 0.02 at level 0.05, of 2 comparisons" in text
    assert "semantic, val/miou: spread of the difference 0.0100 from 3 seeds" in text
    assert "region, val/covering: spread of the difference 0.0153 from 3 seeds" in text
    assert "score" not in text
    least = smallest_difference(0.01, 3, comparisons=2)
    assert f"3 seeds could show {least:.4f} with power 0.8" in text


def test_the_cost_is_that_of_an_undisturbed_run(tmp_path: Path) -> None:
    rows = [line.split(maxsplit=3) for line in seed_plan(written(tmp_path), "s", 0.02).splitlines()]
    assert {row[3] for row in rows if row and row[0] == "20"} == {"30 min 00 s"}


def test_one_seed_is_no_pilot(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected 2 finished seeds of two variants: run a pilot of 3 seeds"):
        seed_plan(written(tmp_path, seeds=1), "s", 0.02)


def test_a_pilot_of_some_variants_is_planned_for_all(tmp_path: Path) -> None:
    folder = written(tmp_path)
    for seed in range(3):
        (tmp_path / f"region/{seed}/evaluation/val.json").unlink()
        folder.write_record(f"region{seed}", {"status": "missing"})
    text = seed_plan(folder, "s", 0.02)
    assert "of 3 comparisons" in text  # its task is not known yet
    assert "region" not in text


def test_equal_differences_are_said(tmp_path: Path) -> None:
    folder = written(tmp_path)
    for seed in range(3):
        path = tmp_path / f"semantic/{seed}/evaluation/val.json"
        content = json.loads(path.read_text())
        content["metrics"]["miou"] = FIGURES["joint"]["miou"][seed]
        path.write_text(json.dumps(content))
    assert "all differences are equal so far" in seed_plan(folder, "s", 0.02)
