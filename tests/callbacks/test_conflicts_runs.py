"""Conflicts from the command line, and on two ranks against one process (see `conflict_ranks.py`)."""

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from fusionseg.callbacks.conflicts import Conflicts
from fusionseg.commands import fit
from fusionseg.config.lightning_messages import quiet


@pytest.mark.slow
def test_a_configuration_names_it_and_a_resumed_run_keeps_it(tiny: list[str], tmp_path: Path) -> None:
    file, run = tmp_path / "conflicts.yaml", tmp_path / "run"
    callback = {"class_path": "fusionseg.callbacks.conflicts.Conflicts", "init_args": {"every_n_steps": 2}}
    file.write_text(yaml.safe_dump({"trainer": {"callbacks": [callback]}}))
    fit.main(["--config", str(file), *tiny[:-1], "1", "--out", str(run)])
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["callbacks"] == [callback]
    fit.main(["--resume", str(run), "--trainer.max_epochs", "2"])
    with (run / "metrics.csv").open(newline="") as table:
        sampled = [row["step"] for row in csv.DictReader(table) if row["conflict/cosine_semantic_region"]]
    assert sampled == ["0", "2"]
    assert (run / "pictures" / "conflicts.png").is_file()


@pytest.mark.slow
def test_another_training_has_curves_of_its_own(small: Any, datamodule: Any, plan: Any) -> None:
    conflicts = Conflicts(2)
    for _ in range(2):
        with quiet():
            plan(max_steps=2, callbacks=[conflicts]).fit(small(), datamodule())
        assert [row["step"] for row in conflicts.history] == [0, 2]  # a sample and the epoch's rate


@pytest.mark.slow
def test_two_ranks_see_the_conflicts_of_the_global_batch(tmp_path: Path) -> None:
    script = Path(__file__).with_name("conflict_ranks.py")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = {path.stem: torch.load(path, weights_only=True) for path in tmp_path.glob("*.pt")}
    for case in {name.rpartition("-")[0].rpartition("-")[0] for name in found}:
        one, *two = (found[f"{case}-{place}"] for place in ("1-0", "2-0", "2-1"))
        assert len(one) == 6 + 2
        for row, *others in zip(one, *two, strict=True):
            for other in others:
                assert other == pytest.approx(row, rel=1e-6, abs=1e-9), case
