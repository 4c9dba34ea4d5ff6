"""What a training says and leaves when something around it breaks."""

import functools
import json
import math
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback

from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.loss_log import NotFiniteError
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.trainer import Trainer

Fit = Callable[..., None]


@pytest.fixture
def fit(tmp_path: Path) -> Fit:
    """Trains two epochs of four steps, in the way of which something comes."""

    def trained(trouble: Callback, workers: int = 0, length: int = 8, **options: Any) -> None:
        scenes = functools.partial(SyntheticScenes, length=length, size=(64, 64))
        data = SegmentationDataModule(scenes, batch_size=2, crop_size=(64, 64), workers=workers)
        fixed: dict[str, Any] = {"max_epochs": 2, "precision": "32-true", "log_every_n_steps": 2}
        trainer = Trainer(default_root_dir=tmp_path, callbacks=[trouble], **fixed | options)
        trainer.fit(
            FusionModule(
                data.classes,
                backbone=Backbone("tu-test_efficientnet", options={"decoder_channels": [16, 16, 8, 8, 8]}),
            ),
            data,
        )

    return trained


class At(Callback):
    """Does something before a step."""

    def __init__(self, step: int, action: Callable[[FusionModule], object]) -> None:
        self.step, self.action = step, action

    def on_train_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            self.action(pl_module)


def status(run: Path) -> str:
    return str(json.loads((run / "summary.json").read_text())["status"])


def check_finite(run: Path, *steps: int) -> None:
    """The checkpoints hold numbers only, and `last` is that of so many steps."""
    for path in (run / "checkpoints").iterdir():
        content = torch.load(path, weights_only=True)
        assert all(v.isfinite().all() for v in content["state_dict"].values() if v.is_floating_point())
        assert path.name != "last.ckpt" or content["global_step"] in steps


@pytest.mark.slow
@pytest.mark.parametrize("task", ["semantic", "region"])
@pytest.mark.parametrize("minutes", [0, 60])
def test_a_loss_that_is_no_number_ends_the_run_and_reaches_no_checkpoint(
    task: str, minutes: float, fit: Fit, tmp_path: Path
) -> None:
    def spoil(module: FusionModule) -> None:
        head: Any = module.network.heads[task]
        with torch.no_grad():
            head.layers[1].bias[0] = math.nan

    with pytest.raises(
        NotFiniteError, match=rf"the {task} loss is not finite since step 5, images train-\d+, train-"
    ):
        fit(At(5, spoil), save_every_n_minutes=minutes)
    assert status(tmp_path) == "failed"
    check_finite(tmp_path, 5 if minutes == 0 else 4)


@pytest.mark.slow
def test_weights_that_are_no_numbers_reach_no_checkpoint_either(fit: Fit, tmp_path: Path) -> None:
    def spoil(module: FusionModule) -> None:
        module.network.get_parameter("heads.semantic.layers.1.bias").register_hook(
            lambda grad: grad * math.inf
        )

    with pytest.raises(
        NotFiniteError, match=r"weights are not finite after step 8, network\.heads\.semantic"
    ):
        fit(At(7, spoil))
    assert status(tmp_path) == "failed"
    check_finite(tmp_path, 4)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_a_worker_that_dies_ends_the_run_with_its_likely_cause(number: int, fit: Fit, tmp_path: Path) -> None:
    def kill(_: FusionModule) -> None:
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, number)
            child.join()

    with pytest.raises(
        ChildProcessError, match=r"a process that prepares batches died, as when memory runs out .*: lower"
    ):
        fit(At(5, kill), workers=1, length=40, save_every_n_minutes=0)
    assert status(tmp_path) == "failed"
    check_finite(tmp_path, *range(5, 10))  # some batches were ready


@pytest.mark.slow
def test_a_full_disk_ends_the_run_and_keeps_the_checkpoint_before(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(_: FusionModule) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(torch, "save", full)

    with pytest.raises(
        OSError, match=r"\.ckpt: this checkpoint could not be written \(No space left on device\); the one"
    ):
        fit(At(5, fill))
    assert status(tmp_path) == "failed"
    check_finite(tmp_path, 4)
    assert {path.name for path in tmp_path.rglob(".*")} <= {".best.replaced"}  # and no draft
