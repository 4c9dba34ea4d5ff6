import functools
import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.strategies import DDPStrategy

from fusionseg.commands import evaluate, predict
from fusionseg.config.errors import UserError
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.precision import fast_precision
from fusionseg.files.images import write_png
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.trainer import Trainer


@pytest.fixture
def data() -> SegmentationDataModule:
    scenes = functools.partial(SyntheticScenes, length=8, size=(64, 64))
    return SegmentationDataModule(scenes, batch_size=4, crop_size=(64, 64), scale=0.5, workers=0)


@pytest.fixture
def model(data: SegmentationDataModule) -> FusionModule:
    return FusionModule(
        data.classes,
        region_head=None,
        backbone=Backbone("tu-test_efficientnet", options={"decoder_channels": [16, 16, 8, 8, 8]}),
    )


class Fails(Callback):
    """Raises before the n-th step."""

    def __init__(self, error: BaseException, step: int) -> None:
        self.error, self.step = error, step

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise self.error


@pytest.mark.slow
def test_the_best_checkpoint_is_that_of_the_figure_of_one_s_choice(
    data: SegmentationDataModule, model: FusionModule, tmp_path: Path
) -> None:
    trainer = Trainer(max_epochs=3, default_root_dir=tmp_path / "run", monitor="val/loss")
    trainer.fit(model, data)
    lines = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("val/loss")
    losses = [float(line.split(",")[column]) for line in lines[1:] if line.split(",")[column]]
    best = json.loads((tmp_path / "run" / "summary.json").read_text())["best"]
    assert best["epoch"] == losses.index(min(losses))
    kept = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    assert kept["epoch"] == best["epoch"]


@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        (
            "val/mio",
            "expected a figure of the validation such as val/score, found 'val/mio'; did you mean val/miou?",
        ),
        ("test/miou", "found 'test/miou'"),
        ("val/covering", "found 'val/covering'"),  # of a task that is not trained
    ],
)
def test_a_figure_that_validation_does_not_log_is_refused_at_the_start(
    monitor: str, message: str, data: SegmentationDataModule, model: FusionModule, tmp_path: Path
) -> None:
    trainer = Trainer(max_epochs=1, default_root_dir=tmp_path / "run", monitor=monitor)
    with pytest.raises(UserError, match=f"^trainer.monitor: .*{re.escape(message)}"):
        trainer.fit(model, data)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_from_python_is_one_for_all_doors(
    data: SegmentationDataModule, model: FusionModule, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    Trainer(max_epochs=1, default_root_dir=run).fit(model, data)
    said = capsys.readouterr().err
    assert re.search(r"^precision \S+: this machine .* in bf16; channels-last memory$", said, re.MULTILINE)
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["seed_everything"] is False
    assert config["model"]["init_args"]["region_head"] is None
    assert config["data"]["init_args"]["dataset"]["init_args"] == {"length": 8, "size": [64, 64]}
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert checkpoint["datamodule_hyper_parameters"]["scale"] == 0.5
    evaluate.main(["--run", str(run), "--pictures", "0"])
    best = json.loads((run / "summary.json").read_text())["best"]["metrics"]
    again = json.loads((run / "evaluation" / "val.json").read_text())["metrics"]
    assert {f"val/{name}": value for name, value in again.items()} == pytest.approx(
        {name: value for name, value in best.items() if "loss" not in name}, rel=1e-6
    )
    write_png(tmp_path / "photo.png", SyntheticScenes("test", 1, (50, 70)).read(0).image)
    predict.main(["--run", str(run), "--images", str(tmp_path / "photo.png"), "--out", str(tmp_path / "out")])
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "out")


def test_a_trainer_does_not_write_over_a_run(
    data: SegmentationDataModule, model: FusionModule, tmp_path: Path
) -> None:
    first = Trainer(max_steps=1, default_root_dir=tmp_path)
    first.fit(model, data)
    with pytest.raises(FileExistsError, match="already holds a run"):
        Trainer(max_steps=1, default_root_dir=tmp_path).fit(model, data)
    first.fit_loop.epoch_loop.max_steps = 2
    first.fit(model, data)
    assert first.global_step == 2


@pytest.mark.parametrize("folder_was_there", [True, False])
def test_a_run_without_a_step_leaves_the_traceback_of_a_bug_alone(
    folder_was_there: bool, data: SegmentationDataModule, model: FusionModule, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    if folder_was_there:
        run.mkdir()
        (run / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="broken"):
        Trainer(max_epochs=1, default_root_dir=run, callbacks=Fails(ValueError("broken"), 0)).fit(model, data)
    notes = {"notes.txt"} if folder_was_there else set()
    assert {p.name for p in tmp_path.rglob("*")} == {"run", "traceback.txt", *notes}
    told = (run / "traceback.txt").read_text()
    assert told.startswith("Traceback")
    assert "in on_train_batch_start" in told
    assert told.endswith("ValueError: broken\n")
    Trainer(max_steps=1, limit_val_batches=0, default_root_dir=run).fit(model, data)
    assert not (run / "traceback.txt").exists()


def test_what_keeps_a_run_from_its_first_batch_is_one_line_and_leaves_nothing(
    data: SegmentationDataModule, model: FusionModule, tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "first"
    with pytest.raises(UserError, match=r"`val_check_interval` \(99\) must be less than"):
        Trainer(max_epochs=1, default_root_dir=run, val_check_interval=99).fit(model, data)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [ValueError("broken"), MisconfigurationException("broken")])
def test_a_bug_of_ones_own_before_the_first_batch_keeps_its_traceback_too(
    error: Exception, data: SegmentationDataModule, model: FusionModule, tmp_path: Path
) -> None:
    class Fails(Callback):
        def on_fit_start(self, *_: Any) -> None:
            raise error

    with pytest.raises(type(error), match="broken"):
        Trainer(max_epochs=1, default_root_dir=tmp_path, callbacks=Fails()).fit(model, data)
    assert [path.name for path in tmp_path.iterdir()] == ["traceback.txt"]
    assert "in on_fit_start" in (tmp_path / "traceback.txt").read_text()


@pytest.mark.parametrize(
    "strategy",
    ["ddp_spawn", "ddp_fork", "ddp_notebook_find_unused_parameters_true", DDPStrategy(start_method="spawn")],
)
def test_ranks_that_are_no_programs_are_refused_before_anything_is_written(
    strategy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=r"trainer.strategy: expected ddp, which starts .*, found one that starts"
    ):
        Trainer(strategy=strategy, accelerator="cpu", devices=2)
    assert not list(tmp_path.iterdir())


def test_a_failed_run_says_so_and_keeps_its_last_state(
    data: SegmentationDataModule, model: FusionModule, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="broken"):
        Trainer(max_epochs=2, default_root_dir=tmp_path, callbacks=Fails(ValueError("broken"), 3)).fit(
            model, data
        )
    assert json.loads((tmp_path / "summary.json").read_text())["status"] == "failed"
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 2


def test_an_interrupt_is_an_interrupt_and_the_next_one_works_too(
    data: SegmentationDataModule, model: FusionModule, tmp_path: Path
) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        Trainer(max_epochs=1, default_root_dir=tmp_path, callbacks=Fails(KeyboardInterrupt(), 1)).fit(
            model, data
        )
    assert signal.getsignal(signal.SIGINT) is before
    assert json.loads((tmp_path / "summary.json").read_text())["status"] == "interrupted"


def test_a_progress_bar_of_one_s_own_is_the_only_one(tmp_path: Path) -> None:
    own = TQDMProgressBar()
    trainer = Trainer(default_root_dir=tmp_path, callbacks=[own])
    assert trainer.progress_bar_callback is own


def test_steps_fewer_than_an_epoch_s_end_with_a_validation(
    data: SegmentationDataModule, model: FusionModule, tmp_path: Path
) -> None:
    Trainer(max_steps=1, default_root_dir=tmp_path).fit(model, data)
    told = json.loads((tmp_path / "summary.json").read_text())
    assert told["best"]["metrics"] == told["metrics"] != {}
    assert torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)["global_step"] == 1


def test_a_run_without_a_validation_says_why_there_is_no_best_checkpoint(
    data: SegmentationDataModule, model: FusionModule, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Trainer(max_steps=1, limit_val_batches=0, default_root_dir=tmp_path).fit(model, data)
    assert "no best.ckpt, because no validation was due (trainer.limit_val_batches" in capsys.readouterr().err
    assert not (tmp_path / "checkpoints" / "best.ckpt").exists()


@pytest.mark.parametrize("folder_was_there", [True, False])
def test_a_fast_dev_run_leaves_nothing(
    folder_was_there: bool, data: SegmentationDataModule, model: FusionModule, tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "run"
    if folder_was_there:
        run.mkdir(parents=True)
        (run / "notes.txt").write_text("mine")
    Trainer(fast_dev_run=True, default_root_dir=run).fit(model, data)
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert left == (["notes.txt"] if folder_was_there else [])
    assert run.exists() == folder_was_there


def test_pytorch_that_is_held_to_avx2_computes_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True, "amx_tile": True})
    for kernels, precision in (("AVX512", "bf16-mixed"), ("AVX2", "32-true")):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda kernels=kernels: kernels)
        assert fast_precision("cpu") == precision


def test_precision_is_fast_where_the_processor_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for able, precision in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr("fusionseg.engine.precision._cpu_has_bf16", lambda able=able: able)
        assert fast_precision() == precision
        chosen = Trainer(default_root_dir=tmp_path, accelerator="cpu")
        assert chosen.precision == precision
        assert chosen.notice.startswith(f"precision {precision}: ")
        assert "memory" not in chosen.notice
    assert Trainer(default_root_dir=tmp_path, precision="64-true").notice == ""
