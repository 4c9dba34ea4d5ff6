"""The report as a W&B run, read back from the files of an offline run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import wandb

from fusionseg.pages.blocks import Chart, Section, Table, Value
from fusionseg.studies.report.analysis import analysis
from fusionseg.studies.report.build import sections
from fusionseg.studies.report.differing_images import DifferingImage
from fusionseg.studies.report.question import question
from fusionseg.studies.report.tracking import chart_picture, track
from fusionseg.studies.results import collect

WandbRecords: TypeAlias = Callable[[Path], list[Any]]


@pytest.mark.slow
def test_a_report_is_one_run_with_its_tables_and_pictures(
    alpha_beta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wandb_records: WandbRecords
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    numbers = analysis(question(collect([alpha_beta])), resamples=10)
    made = sections(numbers)
    pictures = {name: {"image": np.full((20, 30, 3), 90, np.uint8)} for name in ("PCGrad", "UW")}
    image = DifferingImage("val-003", {"PCGrad": 0.1, "UW": 0.2}, {}, pictures)
    notice = track(numbers, made, [image], tmp_path)
    assert notice.startswith("W&B: offline (as asked); upload later")
    wandb.teardown()  # its own process writes a little later
    found = wandb_records(tmp_path)
    [run] = [record.run for record in found if record.HasField("run")]
    assert (run.display_name, run.run_group, run.job_type) == ("alpha_beta report", "alpha_beta", "report")
    updates = (item for record in found if record.HasField("summary") for item in record.summary.update)
    last = {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in updates}
    assert last["report/scores._type"] == last["report/differences._type"] == "table-file"
    assert last["report/front._type"] == last["report/heat-val-score-0._type"] == "image-file"
    assert last["report/images/val-003._type"] == "image-file"
    [table] = tmp_path.glob("wandb/offline-run-*/files/media/table/report/scores_*.json")
    content = json.loads(table.read_text())
    assert {"variant", "mean", "spread", "low", "high", "seeds"} <= set(content["columns"])
    assert len(content["data"]) == len(numbers.asked.variants) * len(numbers.headlines)


@pytest.mark.slow
def test_a_column_of_several_kinds_is_one_of_texts(
    alpha_beta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wandb_records: WandbRecords
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    records: list[dict[str, Value]] = [{"flip": False, "lr": 1}, {"flip": 0.5, "lr": None}, {"lr": 0.5}]
    block = Table("trials", "", [], [], records)
    numbers = analysis(question(collect([alpha_beta])), resamples=10)
    track(numbers, [Section("Search", [block])], [], tmp_path)
    wandb.teardown()
    [table] = tmp_path.glob("wandb/offline-run-*/files/media/table/report/trials_*.json")
    assert json.loads(table.read_text())["data"] == [["False", 1], ["0.5", None], [None, 0.5]]


@pytest.mark.slow
def test_a_chart_is_drawn_on_white(alpha_beta: Path) -> None:
    numbers = analysis(question(collect([alpha_beta])), resamples=10)
    [front] = [b for s in sections(numbers) for b in s.blocks if isinstance(b, Chart) and b.name == "front"]
    picture = chart_picture(front)
    assert picture.shape[1] > 1000
    assert (picture[:5] == 255).all()
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_without_tracking_nothing_is_written(alpha_beta: Path, tmp_path: Path) -> None:
    numbers = analysis(question(collect([alpha_beta])), resamples=10)
    assert track(numbers, [], [], tmp_path) == ""
    assert not any(tmp_path.iterdir())
