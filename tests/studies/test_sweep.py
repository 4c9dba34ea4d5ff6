from pathlib import Path
from typing import Any

import yaml

from fusionseg.studies.axes import Variant
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.plan import planned
from fusionseg.studies.study_file import Study
from fusionseg.studies.sweep import sweep


def test_a_sweep_has_the_variants_as_files_and_the_seeds(tmp_path: Path) -> None:
    study = Study("s", (), (Variant("a", {}), Variant("b=1,c=2", {"model.beta": 2.0})), (0, 7))
    found: dict[str, Any] = {
        variant.name: {
            "config": yaml.safe_dump({"model": {"init_args": {"beta": number, "region_head": None}}}),
            "parameters": 1,
            "steps": 1,
        }
        for number, variant in enumerate(study.variants)
    }
    folder = StudyFolder(tmp_path)
    content = yaml.safe_load(sweep(planned(study, found, {}, folder), folder))
    assert content["method"] == "grid"
    assert content["metric"] == {"name": "val/score", "goal": "maximize"}
    assert content["parameters"]["seed_everything"]["values"] == [0, 7]
    files = content["parameters"]["config"]["values"]
    read = [yaml.safe_load(Path(file).read_text()) for file in files]
    assert [config["model"]["init_args"]["beta"] for config in read] == [0, 1]
    assert content["command"][-1] == "${args}"


def test_what_is_better_when_it_is_lower_is_minimized(tmp_path: Path) -> None:
    study = Study("s", (), (Variant("a", {}),), (0,), metric="val/voi")
    found: dict[str, Any] = {"a": {"config": "model: {}", "parameters": 1, "steps": 1}}
    folder = StudyFolder(tmp_path)
    content = yaml.safe_load(sweep(planned(study, found, {}, folder), folder))
    assert content["metric"] == {"name": "val/voi", "goal": "minimize"}
