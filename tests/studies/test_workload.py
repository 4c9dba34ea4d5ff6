import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fusionseg.studies import speed
from fusionseg.studies.axes import Variant
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.plan import planned
from fusionseg.studies.study_file import Study
from fusionseg.studies.workload import workload


def test_time_is_that_of_finished_runs_or_of_steps_that_are_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study("s", (), (Variant("a", {}), Variant("b", {"model.beta": 2.0})), (0, 1, 2))
    found: dict[str, Any] = {
        name: {"config": yaml.safe_dump({"beta": beta}), "parameters": 2**20, "steps": 30}
        for name, beta in (("a", 1), ("b", 2))
    }
    folder = StudyFolder(tmp_path)
    plan = planned(study, found, {}, folder)
    measured: list[list[str]] = []
    monkeypatch.setattr(speed, "seconds_per_step", lambda words, steps: measured.append(words) or 4.0)
    reports: list[str] = []
    for _ in range(2):
        text = workload(plan, folder, 2, reports.append).splitlines()
        assert text[0].startswith("a/0: python -m fusionseg.fit --seed_everything=0")
        assert text[-3:-1] == ["a: 2 min 00 s a run", "b: 2 min 00 s a run"]
        assert text[-1] == "6 of 6 runs left: 6 min 00 s, 2 at once; 0.1 GiB of checkpoints"
    assert len(measured) == len(reports) == 2
    for seed, seconds in ((0, 200.0), (1, 300.0)):
        (tmp_path / f"a/{seed}/evaluation").mkdir(parents=True)
        figures = {"checkpoint": "last", "metrics": {"score": 0.5}}
        (tmp_path / f"a/{seed}/evaluation/val.json").write_text(json.dumps(figures))
        (tmp_path / f"a/{seed}/summary.json").write_text(
            json.dumps({"status": "finished", "seconds": seconds})
        )
    text = workload(plan, folder, 1, reports.append).splitlines()
    assert text[-3] == "a: 4 min 10 s a run"
    assert text[-1].startswith("4 of 6 runs left: 10 min 10 s, 1 at once")
    assert len(measured) == 2
