"""What W&B is given by the runs of a study, read back from the files of offline runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from fusionseg.commands.study import main

WandbRecords: TypeAlias = Callable[[Path], list[Any]]


@pytest.mark.slow
@pytest.mark.usefixtures("resolved_here")
def test_the_runs_of_a_study_are_grouped_by_variant_and_named_by_seed(
    tmp_path: Path,
    study_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    wandb_records: WandbRecords,
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    variants: dict[str, Any] = {"joint": {}, "semantic": {"model.region_head": None}}
    file = study_file(variants=variants, seeds=[3])
    main([str(file), "--out", str(tmp_path / "out"), "--jobs", "2"])
    for variant in variants:
        run = tmp_path / "out" / variant / "3"
        records = wandb_records(run)
        parts = [record.run for record in records if record.HasField("run")]
        assert (
            len({part.run_id for part in parts}) == 1
        )  # the evaluation goes on with the run of the training
        opened = parts[0]
        assert opened.run_group == f"small/{variant}"
        assert opened.job_type == "study"
        assert opened.display_name == f"{variant}/3"
        assert list(opened.tags) == ["small"]
        config = {item.key or item.nested_key[0]: item.value_json for item in opened.config.update}
        config |= {
            item.key: item.value_json
            for record in records
            if record.HasField("config")
            for item in record.config.update
        }
        assert json.loads(config["seed_everything"]) == 3
        rows = [
            {".".join(item.nested_key) or item.key for item in record.history.item}
            for record in records
            if record.HasField("history")
        ]
        logged = set().union(*rows)
        assert {"train/loss", "val/miou", "val/score", "val/loss"} <= logged
        assert ("val/covering" in logged) == (variant == "joint")
        assert list((run / "wandb").glob("offline-run-*/files/media/images/val/panel*.png"))
