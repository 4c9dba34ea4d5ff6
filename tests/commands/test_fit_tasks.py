"""Further tasks from the command line, and what is wrong with them in one message."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fusionseg.cli import entry
from fusionseg.commands import fit
from fusionseg.heads import DepthHead, NormalsHead
from fusionseg.module import FusionModule

SURFACES = ["--data.dataset.depth", "true", "--data.dataset.normals", "true", "--trainer.max_epochs", "1"]


def check_tasks(run: Path) -> None:
    module = FusionModule.load_from_checkpoint(run / "checkpoints" / "last.ckpt", weights_only=True)
    heads: Any = module.network.heads
    assert list(heads) == module.tasks == ["semantic", "region", "depth", "normals"]
    assert isinstance(heads["depth"], DepthHead)
    assert isinstance(heads["normals"], NormalsHead)
    assert heads["depth"].scale == 2.0
    assert module.objective.weights == {"semantic": 1.0, "region": 1.0, "depth": 0.5, "normals": 1.0}
    metrics = json.loads((run / "summary.json").read_text())["metrics"]
    names = {"val/loss_depth", "val/loss_normals", "val/depth_rmse", "val/normals_mean", "val/miou", "val/pq"}
    assert names <= metrics.keys()
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["init_args"]["extra_heads"]["depth"]["weight"] == 0.5


@pytest.mark.slow
def test_further_tasks_are_an_argument_for_each(tiny: list[str], tmp_path: Path) -> None:
    depth = '{"head": {"class_path": "DepthHead", "init_args": {"scale": 2}}, "weight": 0.5}'
    words = ["--model.extra_heads.depth", depth, "--model.extra_heads.normals", '{"head": "NormalsHead"}']
    fit.main([*tiny, *SURFACES, *words, "--out", str(tmp_path / "run")])
    check_tasks(tmp_path / "run")


@pytest.mark.slow
def test_further_tasks_are_a_key_of_a_file(tiny: list[str], tmp_path: Path) -> None:
    (tmp_path / "tasks.yaml").write_text(
        """\
model:
  class_path: fusionseg.module.FusionModule
  init_args:
    extra_heads:
      depth:
        head:
          class_path: DepthHead
          init_args:
            scale: 2.0
        weight: 0.5
      normals:
        head: NormalsHead
"""
    )
    words = ["--config", str(tmp_path / "tasks.yaml"), "--out", str(tmp_path / "run")]
    fit.main([*words, *tiny, *SURFACES])
    check_tasks(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("heads", "message"),
    [
        (
            {"depth": {"head": "DepthHead"}},
            "expected batches with 'depth', which DepthHead needs, found image, semantic, region, name: choose data "
            "with these labels (data.dataset), or leave the head out",
        ),
        ({"distance": {"head": "DepthHead"}}, "expected a distance head, found DepthHead"),
        ({"region": {"head": "BoundaryHead"}}, "found region: set region_head and beta"),
        ({"panoptic": {"head": "BoundaryHead"}}, "found panoptic: choose another name"),
        (
            {"depth": {"head": "DepthHead", "weight": -1}},
            "found alpha = 1.0, beta = 1.0, extra_heads.depth.weight",
        ),
    ],
)
def test_a_task_that_cannot_be_is_one_line_and_leaves_nothing(
    heads: Any, message: str, tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*tiny, "--model.extra_heads", json.dumps(heads), "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as stop:
        entry.run("fit", words)
    assert stop.value.code == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "precision" not in line]
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert message in errors[0]
    assert not list(tmp_path.iterdir())
