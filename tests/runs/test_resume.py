import csv
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Callback, cli, seed_everything
from lightning.pytorch.callbacks import EarlyStopping
from torch.optim import lr_scheduler, swa_utils
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau, StepLR

from benchmarks.running import same
from fusionseg import heads
from fusionseg.balancing import FAMO, GradNorm
from fusionseg.classification import ClassificationModule
from fusionseg.commands import fit
from fusionseg.config.errors import UsageError, UserError
from fusionseg.data.classification_datamodule import ClassificationDataModule
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine import optimization
from fusionseg.engine.teacher import Teacher
from fusionseg.heads import (
    BoundaryHead,
    CenterOffsetHead,
    ClassifierHead,
    DepthHead,
    ExtraHead,
    MaskQueryHead,
    MaskRCNNHead,
    NormalsHead,
    RegionHead,
    SemanticHead,
)
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.pretrained import mark_pretrained
from fusionseg.regularization import L2SP
from fusionseg.runs.resume import check_same
from fusionseg.sample import Classes
from fusionseg.trainer import Trainer

NARROW = {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 64}  # groups of two
SMALL = Backbone("tu-test_efficientnet", options={"decoder_channels": [16, 16, 8, 8, 8]})
STILL = partial(FusionModule, backbone=SMALL, schedule=None)
"""A model whose learning rate stays as it is."""


class Killed(BaseException):
    """The end of a process, as far as it can be had without one."""


class Kills(Callback):
    """Ends the training somewhere: before a batch, after one, in a validation or as an epoch begins."""

    def __init__(self, where: str, step: int) -> None:
        self.where, self.step = where, step
        self.struck = False

    def _at(self, where: str, trainer: Any) -> None:
        if where == self.where and trainer.global_step >= self.step:
            self.struck = True
            raise Killed

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        self._at("batch", trainer)

    def on_validation_batch_start(
        self, trainer: Any, module: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        if batch_idx:
            self._at("validation", trainer)

    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        self._at("validated", trainer)

    def on_train_epoch_start(self, trainer: Any, *_: Any) -> None:
        self._at("epoch", trainer)

    def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
        self._at("epoch end", trainer)

    def on_fit_end(self, trainer: Any, *_: Any) -> None:
        self._at("end", trainer)


class Runs:
    """Trains three epochs of four steps into folders, or goes on there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self,
        name: str,
        kills: Kills | None = None,
        model: Any = None,
        minutes: float | None = None,
        **options: Any,
    ) -> Path:
        """The folder of a run; `kills` tells where the process ends, to which there is a checkpoint of every step."""
        seed_everything(0)
        minutes = (0 if kills else 60) if minutes is None else minutes
        scenes = partial(SyntheticScenes, length=9, size=(32, 32), **options.pop("labels", {}))
        made = options.pop("data", SegmentationDataModule)
        data = made(scenes, batch_size=2, crop_size=(32, 32), workers=options.pop("workers", 0))
        folder = self.folder / name
        last = folder / "checkpoints" / "last.ckpt"
        fixed: dict[str, Any] = {"max_epochs": 3, "log_every_n_steps": 3, "precision": "32-true"}
        fixed |= {"save_every_n_minutes": minutes, "limit_val_batches": 3}
        more = options.pop("callbacks", [])
        trainer = Trainer(
            default_root_dir=folder, callbacks=[*more, *filter(None, [kills])], **fixed | options
        )
        try:
            module = (model or partial(FusionModule, backbone=SMALL))(data.classes)
            trainer.started = True
            trainer.fit(module, data, ckpt_path=last if last.is_file() else None)
        except Killed:
            shutil.copytree(folder, self.folder / f"{name} killed", dirs_exist_ok=True)
        return folder


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Runs]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PL_GLOBAL_SEED", "0")
        yield Runs(tmp_path)


@pytest.fixture(scope="module")
def unstopped(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Runs that nothing stopped, to compare with, each of which is trained once."""

    @cache
    def trained(**options: Any) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PL_GLOBAL_SEED", "0")
            patch.setenv("WANDB_MODE", "disabled")
            return Runs(tmp_path_factory.mktemp("runs"))("whole", **options)

    return trained


@pytest.fixture(scope="module")
def whole(unstopped: Callable[..., Path]) -> Path:
    """A run with all defaults that nothing stopped."""
    return unstopped()


def content(run: Path) -> dict[str, Any]:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)  # type: ignore[no-any-return]


def check_equal(one: Path, other: Path) -> None:
    """Weights, optimizer, schedule, counters and every figure are the same to the last bit."""
    first, second = content(one), content(other)
    # which hold paths, times and different words for the same recipes
    for key in first.keys() - {"callbacks", "record", "hyper_parameters", "datamodule_hyper_parameters"}:
        assert same(first[key], second[key]), key
    for callback, state in first["callbacks"].items():
        if "BestCheckpoint" not in callback:
            assert same(state, second["callbacks"][callback]), callback
    assert (one / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()
    told, again = (json.loads((run / "summary.json").read_text()) for run in (one, other))
    for key in ("status", "metrics", "best"):
        assert told[key] == again[key], key
    weights = [
        torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"] for run in (one, other)
    ]
    assert same(*weights)


KILLS = [("batch", 1), ("validated", 4), ("epoch", 4), ("batch", 6), ("validation", 7), ("end", 0)]
MORE = [{"accumulate_grad_batches": 2}, {"val_check_interval": 2}, {"check_val_every_n_epoch": 2}]
SLOW = [pytest.param(options, id=next(iter(options)), marks=pytest.mark.slow) for options in MORE]


@pytest.mark.slow
@pytest.mark.parametrize("options", [pytest.param({}, id="plain"), *SLOW])
def test_a_run_that_is_killed_again_and_again_goes_on_as_if_it_had_not_been(
    options: dict[str, Any], run: Runs, whole: Path
) -> None:
    expected = run("whole", **options) if options else whole
    for where, step in KILLS:
        kills = Kills(where, step)
        run("killed", kills=kills, **options)
        assert kills.struck or options  # with which there are fewer steps
    check_equal(expected, run("killed", **options))


@pytest.mark.slow
def test_the_best_of_a_run_is_known_where_its_folder_was_moved(
    run: Runs, whole: Path, tmp_path: Path
) -> None:
    run("killed", kills=Kills("batch", 11))
    best = torch.load(tmp_path / "killed" / "checkpoints" / "best.ckpt", weights_only=True)["global_step"]
    assert best == 8
    shutil.move(tmp_path / "killed", tmp_path / "moved")
    check_equal(whole, run("moved"))


def best_of(run: Path) -> tuple[float, int]:
    """The score of the best checkpoint, and its step."""
    state = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    (score,) = (
        s["figures"]["val/score"] for name, s in state["callbacks"].items() if "BestCheckpoint" in name
    )
    return score, state["global_step"]


@pytest.mark.slow
def test_the_best_checkpoint_belongs_to_the_steps_that_the_run_has_made(run: Runs, tmp_path: Path) -> None:
    for name, step in (("first", 4), ("second", 8)):
        run(name, kills=Kills("epoch end", step), model=STILL, minutes=60)
        killed = best_of(tmp_path / name)
        assert killed[1] == step
        folder = run(name, model=STILL, minutes=60, max_steps=step - 2)
        told = json.loads((folder / "summary.json").read_text())["best"]["metrics"]["val/score"]
        assert best_of(folder)[0] == told
        assert best_of(folder)[1] < step
        assert {path.name for path in (folder / "checkpoints").iterdir()} <= {
            "best.ckpt",
            "last.ckpt",
            ".best.replaced",
        }


HALVED = partial(FusionModule, backbone=SMALL, schedule=partial(StepLR, step_size=1, gamma=0.5))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="epochs"),
        pytest.param({"model": HALVED, "max_steps": 12}, id="steps", marks=pytest.mark.slow),
    ],
)
def test_a_state_between_epochs_is_enough(options: dict[str, Any], run: Runs, whole: Path) -> None:
    expected = run("whole", **options) if options else whole
    run("killed", kills=Kills("batch", 6), minutes=60, **options)
    assert content(run("killed", kills=Kills("batch", 6), minutes=60, **options))["global_step"] == 4
    check_equal(expected, run("killed", minutes=60, **options))


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [
        partial(
            FusionModule,
            backbone=Backbone("tu-test_efficientnet", decoder="FPN", options=NARROW),
            freeze_encoder_epochs=2,
            region_head=CenterOffsetHead,
            semantic_head=partial(SemanticHead, dropout=0.5),
        ),
        partial(
            FusionModule, backbone=SMALL, semantic_head=None, region_head=partial(BoundaryHead, dropout=0.5)
        ),
    ],
    ids=["held encoder, centers", "regions alone"],
)
def test_so_do_other_heads_and_backbones(recipe: Any, run: Runs) -> None:
    whole = run("whole", model=recipe)
    run("killed", kills=Kills("batch", 6), model=recipe)
    check_equal(whole, run("killed", model=recipe))


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(kind, marks=pytest.mark.slow)
        for kind in RegionHead.__subclasses__()
        if kind.__name__ in heads.__all__ and kind not in (BoundaryHead, CenterOffsetHead)
    ],
)
def test_so_does_every_other_coding_of_regions(head: type[RegionHead], run: Runs) -> None:
    few: dict[type[RegionHead], dict[str, int]] = {
        MaskRCNNHead: {"channels": 8, "samples": 16, "anchor": 16},
        MaskQueryHead: {"width": 16},
    }
    recipe = partial(
        FusionModule, backbone=SMALL, semantic_head=None, region_head=partial(head, **few.get(head, {}))
    )
    whole = run("whole", model=recipe)
    run("killed", kills=Kills("batch", 6), model=recipe)
    check_equal(whole, run("killed", model=recipe))


@pytest.mark.slow
def test_so_does_a_classifier_of_mixed_images(run: Runs) -> None:
    head = partial(ClassifierHead, hidden=8, dropout=0.5, label_smoothing=0.1)
    backbone = Backbone("small_cnn")
    options: dict[str, Any] = {
        "model": partial(ClassificationModule, head=head, backbone=backbone),
        "data": partial(ClassificationDataModule, resize=None, mixup=0.4),
    }
    whole = run("whole", **options)
    for where, step in (("batch", 6), ("validation", 7)):
        run("killed", kills=Kills(where, step), **options)
    check_equal(whole, run("killed", **options))


def transferred(classes: Classes, **options: Any) -> FusionModule:
    """A model whose encoder counts as pretrained, with other weights for each run that goes on."""
    module = FusionModule(classes, backbone=SMALL, **options)
    mark_pretrained(module.network.encoder, (name for name, _ in module.network.encoder.named_parameters()))
    return module


@pytest.mark.slow
def test_so_does_what_is_transferred(run: Runs) -> None:
    recipe = partial(
        transferred,
        regularizer=partial(L2SP, alpha=1.0),
        balancer=FAMO,
        batch_norm="reestimated",
        layer_decay=0.5,
    )
    whole = run("whole", model=recipe)
    for where, step in (("batch", 3), ("batch", 6)):
        run("killed", kills=Kills(where, step), model=recipe)
    check_equal(whole, run("killed", model=recipe))


@pytest.mark.slow
def test_so_does_a_plain_transformer_that_is_frozen_at_first(run: Runs) -> None:
    narrow = {"embed_dim": 32, "depth": 2, "drop_path_rate": 0.5, "pyramid_channels": 16}
    recipe = partial(
        FusionModule,
        backbone=Backbone("tu-test_vit", decoder="FPN", options=narrow | NARROW),
        freeze_encoder_epochs=1,
        layer_decay=0.5,
    )
    whole = run("whole", model=recipe)
    for where, step in (("batch", 3), ("batch", 6)):
        run("killed", kills=Kills(where, step), model=recipe)
    check_equal(whole, run("killed", model=recipe))


@pytest.mark.slow
def test_so_does_what_learns_from_a_teacher(run: Runs, whole: Path, tmp_path: Path) -> None:
    teacher = Teacher(str(shutil.copytree(whole, tmp_path / "teacher")), features=0.5)
    recipe = partial(FusionModule, backbone=SMALL, teacher=teacher)
    expected = run("taught", model=recipe)
    run("killed", kills=Kills("batch", 6), model=recipe)
    check_equal(expected, run("killed", model=recipe))
    assert not [name for name in content(expected)["state_dict"] if "adapter" in name]
    assert content(expected)["distillation"]["adapter"].keys() == {"weight", "bias"}
    run("other", kills=Kills("batch", 6), model=recipe)
    shutil.copy(tmp_path / "teacher/checkpoints/last.ckpt", tmp_path / "teacher/checkpoints/best.ckpt")
    with pytest.raises(UsageError, match=r"model.teacher.run: the best checkpoint of .*teacher is another"):
        run("other", model=recipe)


@pytest.mark.slow
def test_so_do_four_tasks(run: Runs) -> None:
    further = {
        "depth": ExtraHead(partial(DepthHead, dropout=0.5), 0.5),
        "normals": ExtraHead(NormalsHead),
    }
    options: dict[str, Any] = {
        "model": partial(FusionModule, backbone=SMALL, extra_heads=further, balancer=GradNorm),
        "labels": {"depth": True, "normals": True},
    }
    whole = run("whole", **options)
    run("killed", kills=Kills("batch", 6), **options)
    check_equal(whole, run("killed", **options))
    assert {"val/depth_rmse", "val/normals_mean"} <= json.loads((whole / "summary.json").read_text())[
        "metrics"
    ].keys()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker")
def test_workers_change_nothing_in_a_resumed_run(run: Runs, whole: Path) -> None:
    run("killed", kills=Kills("batch", 6), workers=1)
    check_equal(whole, run("killed", workers=3))


@pytest.mark.slow
def test_a_run_that_was_stopped_early_stays_stopped(run: Runs) -> None:
    def stop() -> list[Callback]:
        return [EarlyStopping("val/score", mode="max", min_delta=1.0, patience=1)]

    whole = run("whole", callbacks=stop())
    assert content(whole)["global_step"] == 8
    run("killed", kills=Kills("end", 0), callbacks=stop())
    check_equal(whole, run("killed", callbacks=stop()))


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps", [pytest.param(6, id="within an epoch"), pytest.param(8, id="at the end of one")]
)
def test_more_steps_are_added_to_a_run_that_max_steps_ended(
    steps: int, run: Runs, unstopped: Callable[..., Path]
) -> None:
    whole = unstopped(model=STILL, max_steps=10)
    run("short", model=STILL, max_steps=steps)
    check_equal(whole, run("short", model=STILL, max_steps=10))


PLATEAU = partial(ReduceLROnPlateau, patience=0, threshold=10.0, factor=0.5)
"""Takes every validation for a plateau."""


@pytest.mark.slow
def test_the_reduction_that_was_due_when_a_run_was_killed_is_made(run: Runs) -> None:
    model = partial(FusionModule, backbone=SMALL, schedule=PLATEAU)
    whole = run("whole", model=model)
    assert [group["lr"] for group in content(whole)["optimizer_states"][0]["param_groups"]] == [1.25e-4] * 2
    for where, step in (("epoch", 8), ("validated", 8)):
        run(where, kills=Kills(where, step), model=model)
        check_equal(whole, run(where, model=model))


@pytest.mark.slow
def test_an_epoch_without_validation_is_no_plateau(run: Runs) -> None:
    model = partial(FusionModule, backbone=SMALL, schedule=PLATEAU)
    once = run("once", model=model, check_val_every_n_epoch=3)
    assert [group["lr"] for group in content(once)["optimizer_states"][0]["param_groups"]] == [5e-4] * 2


def slower(epoch: int) -> float:
    return 0.9**epoch


SCHEDULERS: dict[str, dict[str, Any]] = {
    "LambdaLR": {"lr_lambda": slower},
    "MultiplicativeLR": {"lr_lambda": slower},
    "StepLR": {"step_size": 1},
    "MultiStepLR": {"milestones": [1, 2]},
    "ConstantLR": {"total_iters": 2},
    "LinearLR": {},
    "ExponentialLR": {"gamma": 0.5},
    "PolynomialLR": {},
    "CosineAnnealingLR": {"T_max": 3},
    "CosineAnnealingWarmRestarts": {"T_0": 2},
    "CyclicLR": {"base_lr": 1e-4, "max_lr": 1e-3, "step_size_up": 2},
    "OneCycleLR": {"max_lr": 1e-3},
    "SWALR": {"swa_lr": 1e-4},
    "WarmupPoly": {},
    "ReduceLROnPlateau": {"patience": 0, "threshold": 10.0, "monitor": "val/miou", "mode": "max"},
}
"""The arguments of every scheduler that a recipe can build; Lightning's where torch has one of the same name."""


def test_no_scheduler_is_forgotten() -> None:
    def below(kind: type) -> set[type]:
        return set(kind.__subclasses__()).union(*map(below, kind.__subclasses__()))

    # of other schedules, which are no recipes
    known = {*SCHEDULERS, "SequentialLR", "ChainedScheduler"}
    kinds = (
        kind for kind in below(LRScheduler) if kind.__module__.startswith(("torch", "lightning", "fusionseg"))
    )
    assert {kind.__name__ for kind in kinds if not kind.__name__.startswith("_")} == known


@pytest.mark.slow
@pytest.mark.parametrize("name", SCHEDULERS)
def test_any_schedule_goes_on_after_a_kill(name: str, run: Runs) -> None:
    places: tuple[Any, ...] = (cli, lr_scheduler, swa_utils, optimization)
    made = next(getattr(place, name) for place in places if hasattr(place, name))
    model = partial(FusionModule, backbone=SMALL, schedule=partial(made, **SCHEDULERS[name]))
    whole = run("whole", model=model)
    for where, step in (("batch", 6), ("epoch", 8)):
        run("killed", kills=Kills(where, step), model=model)
    check_equal(whole, run("killed", model=model))


class Asks(Callback):
    """Sends a signal in a step."""

    def __init__(self, signum: int, step: int) -> None:
        self.signum, self.step = signum, step

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            signal.raise_signal(self.signum)


@pytest.mark.slow
@pytest.mark.parametrize(
    "signum", [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGUSR1, marks=pytest.mark.slow)]
)
def test_a_signal_leaves_a_run_that_goes_on_from_the_next_step(
    signum: int, run: Runs, whole: Path, tmp_path: Path
) -> None:
    before = signal.getsignal(signum)
    with pytest.raises(KeyboardInterrupt if signum == signal.SIGINT else SystemExit) as stop:
        run("stopped", callbacks=[Asks(signum, 5)], minutes=60)
    assert getattr(stop.value, "code", 130) == 128 + signum
    assert signal.getsignal(signum) is before
    assert json.loads((tmp_path / "stopped" / "summary.json").read_text())["status"] == "interrupted"
    assert content(tmp_path / "stopped")["global_step"] == 6
    check_equal(whole, run("stopped"))


@pytest.mark.slow
def test_the_command_goes_on_with_what_the_folder_says(
    tiny: list[str], trained: Path, tmp_path: Path
) -> None:
    short, run = [*tiny[:-1], "1"], tmp_path / "run"
    fit.main([*short, "--model.schedule", "null", "--out", str(run)])
    fit.main(["--resume", str(run), "--trainer.max_epochs", "2"])
    fit.main([*tiny, "--model.schedule", "null", "--out", str(tmp_path / "whole")])
    check_equal(tmp_path / "whole", run)
    assert (run / "config.yaml").read_text() == (tmp_path / "whole" / "config.yaml").read_text()
    before = (run / "summary.json").read_text()
    fit.main(["--resume", str(run)])
    assert json.loads(before)["metrics"] == json.loads((run / "summary.json").read_text())["metrics"]


def files(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_finished_run_with_more_epochs_has_the_rates_of_a_longer_schedule(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit.main(["--resume", str(trained), "--trainer.max_epochs", "4"])
    assert "WarmupPoly goes on as one of 8 steps instead of 4: the rate is" in capsys.readouterr().err
    with (trained / "metrics.csv").open() as file:
        rates = [float(row["train/lr"]) for row in csv.DictReader(file) if row["train/lr"]]
    # the rate after the last step of each epoch
    assert rates[2:] == pytest.approx([4e-3 * (1 - step / 8) ** 0.9 for step in (6, 8)])


@pytest.mark.slow
def test_a_run_that_cannot_be_extended_is_as_it_was(tiny: list[str], tmp_path: Path) -> None:
    cycle = [
        "--model.schedule",
        "OneCycleLR",
        "--model.schedule.max_lr",
        "0.001",
        "--model.schedule.total_steps",
        "2",
    ]
    fit.main([*tiny[:-1], "1", *cycle, "--out", str(tmp_path / "run")])
    before = files(tmp_path / "run")
    with pytest.raises(UserError, match="OneCycleLR ends after its total_steps of 2, but the training has 4"):
        fit.main(["--resume", str(tmp_path / "run"), "--trainer.max_epochs", "2"])
    assert files(tmp_path / "run") == before


@pytest.mark.slow
def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(
    tiny: list[str], trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = shutil.copytree(trained, tmp_path / "killed")
    shutil.rmtree(killed / "checkpoints")
    fit.main(["--resume", str(killed)])
    assert "no checkpoint yet: the run begins again" in capsys.readouterr().err
    check_equal(trained, killed)


@pytest.mark.slow
def test_it_begins_again_with_the_weights_that_it_began_with(
    tiny: list[str], trained: Path, tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    fit.main([*tiny, "--weights", str(trained), "--out", str(whole)])
    killed = shutil.copytree(whole, tmp_path / "killed")
    shutil.rmtree(killed / "checkpoints")
    fit.main(["--resume", str(killed)])
    check_equal(whole, killed)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.alpha", "2"], r"model.alpha: 2.0 here, 1.0 in .*config.yaml"),
        (["--data.batch_size", "2"], r"data.batch_size: 2 here, 4 in"),
        (["--trainer.gradient_clip_val", "1"], "gradient_clip_val"),
        (["--config", "other.yaml"], "config: the run in .* goes on as it began"),
        (["--out=elsewhere"], "out: the run in"),
    ],
)
def test_what_may_not_change_is_named(words: list[str], message: str, trained: Path) -> None:
    before = files(trained)
    with pytest.raises(UsageError, match=message):
        fit.main(["--resume", str(trained), *words])
    assert files(trained) == before


@pytest.mark.parametrize(
    ("data", "free"),
    [
        ({"workers": 3}, True),
        ({"cache": "disk", "cache_dir": "/b"}, True),
        ({"dataset": {"init_args": {"root": "/b", "min_area": 1}}}, True),
        ({"dataset": {"init_args": {"parts": {"x": {"init_args": {"root": "/b"}}}}}}, True),
        ({"dataset": {"init_args": {"table": "/b.csv", "images": "/b"}}}, True),
        ({"dataset": {"init_args": {"tables": "/b"}}}, False),
        ({"dataset": {"init_args": {"root": "/b", "min_area": 2}}}, False),
        ({"eval_batch_size": 2}, False),
        ({"sampling": {"class_path": "BalancedSampling", "init_args": {"power": 1.0}}}, False),
        ({"balanced": None}, False),
        ({"resize": 512}, False),
        ({"resize": None, "sampling": None}, True),
    ],
)
def test_where_the_data_are_and_who_reads_them_may_change(
    data: dict[str, Any], free: bool, tmp_path: Path
) -> None:
    def text(data: dict[str, Any]) -> str:
        return yaml.safe_dump({"data": {"init_args": data}})

    dataset = {"root": "/a", "min_area": 1, "parts": {"x": {"init_args": {"root": "/a"}}}}
    dataset |= {"table": "/a.csv", "images": None, "tables": "/a"}
    before = {
        "workers": 1,
        "cache": "none",
        "cache_dir": None,
        "eval_batch_size": 1,
        "balanced": {"class_path": "BalancedSampling", "init_args": {"power": 1.0}},
        "dataset": {"init_args": dataset},
    }
    (tmp_path / "config.yaml").write_text(text(before))
    with nullcontext() if free else pytest.raises(UsageError, match="goes on as it began"):
        check_same(SimpleNamespace(resume=tmp_path), text(data))


@pytest.mark.parametrize(
    ("given", "free"),
    [
        ({"layer_decay": 1.0, "batch_norm": "train", "regularizer": None, "teacher": None}, True),
        ({"layer_decay": 0.5}, False),
        ({"batch_norm": "frozen"}, False),
        ({"regularizer": {"class_path": "fusionseg.regularization.L1", "init_args": {"weight": 0.1}}}, False),
        ({"teacher": {"run": "runs/teacher", "weight": 1.0}}, False),
    ],
)
def test_what_an_older_run_does_not_name_stays_as_it_was_for_it(
    given: dict[str, Any], free: bool, tmp_path: Path
) -> None:
    def text(**more: Any) -> str:
        return yaml.safe_dump({"model": {"init_args": {"alpha": 1.0, **more}}})

    (tmp_path / "config.yaml").write_text(text())
    with nullcontext() if free else pytest.raises(UsageError, match=r"model\..* goes on as it began"):
        check_same(SimpleNamespace(resume=tmp_path), text(**given))


def test_a_teacher_may_lie_elsewhere(tmp_path: Path) -> None:
    def text(**teacher: Any) -> str:
        return yaml.safe_dump({"model": {"init_args": {"teacher": {"weight": 1.0, **teacher}}}})

    (tmp_path / "config.yaml").write_text(text(run="/a"))
    check_same(SimpleNamespace(resume=tmp_path), text(run="/b", decay=0.99, ramp_up=0))  # an older run
    with pytest.raises(UsageError, match=r"model.teacher.weight: .* goes on as it began"):
        check_same(SimpleNamespace(resume=tmp_path), text(run="/b", weight=2.0))
    with pytest.raises(UsageError, match=r"model.teacher.ramp_up: .* goes on as it began"):
        check_same(SimpleNamespace(resume=tmp_path), text(run="/b", ramp_up=5))


@pytest.mark.parametrize("key", ["data.unlabelled.photos", "model.teacher.run"])
@pytest.mark.parametrize("values", [(None, "/a"), ("/a", None), ("/a", "/b")])
def test_a_place_that_may_change_stays_one(
    key: str, values: tuple[str | None, str | None], tmp_path: Path
) -> None:
    def text(value: str | None) -> str:
        part, inner, name = key.split(".")
        return yaml.safe_dump({part: {"init_args": {inner: {name: value, "weight": 1.0}}}})

    (tmp_path / "config.yaml").write_text(text(values[0]))
    with pytest.raises(UsageError, match=f"{key}: .* as it began") if None in values else nullcontext():
        check_same(SimpleNamespace(resume=tmp_path), text(values[1]))


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected a run folder"):
        fit.main(["--resume", str(tmp_path)])


@pytest.mark.parametrize(
    ("key", "before", "after"),
    [
        ("model.teacher.weight", {"semantic": 1.0, "region": 1.0}, {"semantic": 1.0}),
        ("model.extra_heads", {}, {"depth": {"head": "DepthHead", "weight": 1.0}}),
        ("data.dataset.labels", {"a": "semantic"}, {"a": "semantic", "b": "region"}),
        ("data.dataset.labels", {"a": "semantic", "b": "region"}, {"a": "semantic"}),
    ],
)
def test_no_entry_of_a_mapping_comes_or_goes(
    key: str, before: dict[str, Any], after: dict[str, Any], tmp_path: Path
) -> None:
    def text(entries: dict[str, Any]) -> str:
        part, *inner = key.split(".")
        tree: dict[str, Any] = entries
        for name in reversed(inner):
            tree = {name: tree}
        return yaml.safe_dump({part: {"init_args": tree}})

    (tmp_path / "config.yaml").write_text(text(before))
    check_same(SimpleNamespace(resume=tmp_path), text(before))
    with pytest.raises(UsageError, match=rf"{key}\..* goes on as it began"):
        check_same(SimpleNamespace(resume=tmp_path), text(after))
