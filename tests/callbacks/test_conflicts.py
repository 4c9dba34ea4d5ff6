from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, seed_everything
from lightning.pytorch.callbacks import LambdaCallback
from torch import Tensor

from benchmarks.running import same
from fusionseg import networks
from fusionseg.balancing import MGDA, UW, GradNorm, Sum
from fusionseg.callbacks import conflicts as conflicts_file
from fusionseg.callbacks.conflicts import Conflicts
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.heads import SemanticHead
from fusionseg.module import FusionModule
from fusionseg.networks import HardSharing
from fusionseg.networks.backbone import Backbone
from fusionseg.runs.wandb_logger import RunLogger
from fusionseg.trainer import Trainer

SMALL = Backbone("tu-test_efficientnet", options={"decoder_channels": [16, 16, 8, 8, 8]})
APART = partial(HardSharing, shared_decoder=False)
DROPPING = partial(SemanticHead, dropout=0.3)
BLANK = np.zeros((2, 2, 3), np.uint8)
STAGES = [f"_stage{i}" for i in (5, 4, 3, 2, 1)]


def trained(folder: Path, *callbacks: Callback, draws: bool = False, **options: Any) -> FusionModule:
    """Trains two epochs of four steps, from where a run in the folder stopped if there is one."""
    seed_everything(0, verbose=False)
    scenes = partial(SyntheticScenes, length=8, size=(32, 32))
    data = SegmentationDataModule(scenes, batch_size=2, crop_size=(32, 32), workers=0)
    given = {
        name: options.pop(name) for name in tuple(options) if name in FusionModule.__init__.__annotations__
    }
    module = FusionModule(data.classes, **{"backbone": SMALL, "network": APART, "schedule": None, **given})
    fixed: dict[str, Any] = {"max_epochs": 2, "precision": "32-true", "limit_val_batches": 1}
    last = folder / "checkpoints" / "last.ckpt"
    trainer = Trainer(default_root_dir=folder, callbacks=list(callbacks), **fixed | options)
    trainer.started = True
    # the curves take longer than the training
    with nullcontext() if draws else patch.object(conflicts_file, "conflict_curves", return_value=BLANK):
        trainer.fit(module, data, ckpt_path=last if last.is_file() else None)
    return module


def rows(conflicts: Conflicts, figure: str = "weight") -> list[dict[str, float]]:
    return [row for row in conflicts.history if any(name.startswith(f"conflict/{figure}_") for name in row)]


@pytest.fixture(autouse=True)
def seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"balancer": Sum, "network": HardSharing},
        {"balancer": GradNorm, "gamma": 0.5, "accumulate_grad_batches": 3},
        {"balancer": partial(MGDA, level="parameters"), "accumulate_grad_batches": 2},
        {"balancer": UW, "network": networks.PADNet, "gamma": 0.5},
        {"balancer": Sum, "network": networks.MTAN, "gamma": 0.5, "precision": "bf16-mixed"},
    ],
    ids=["sum", "gradnorm", "mgda", "uw", "bf16"],
)
def test_training_does_not_change_by_a_bit(options: dict[str, Any], tmp_path: Path) -> None:
    plain = trained(tmp_path / "plain", semantic_head=DROPPING, **options)
    conflicts = Conflicts(1)
    watched = trained(tmp_path / "watched", conflicts, semantic_head=DROPPING, **options)
    assert plain.global_step == watched.global_step == len(rows(conflicts, "cosine"))
    one, other = (
        torch.load(tmp_path / n / "checkpoints/last.ckpt", weights_only=True) for n in ("plain", "watched")
    )
    for key in ("state_dict", "optimizer_states", "losses"):
        assert same(one[key], other[key]), key


class Keeps(Callback):
    """The weights and the batch of each step, before it, and the balancer's weights after it."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, Tensor], Any]] = []
        self.weights: list[list[float]] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, *_: Any) -> None:
        self.seen.append(({name: value.clone() for name, value in pl_module.state_dict().items()}, batch))

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        self.weights.append(pl_module.balancer.weights.tolist())


@pytest.mark.slow
@pytest.mark.parametrize("balancer", [Sum, UW, GradNorm])
def test_figures_are_those_of_gradients_taken_one_by_one(balancer: Any, tmp_path: Path) -> None:
    conflicts, keeps = Conflicts(3), Keeps()
    options: dict[str, Any] = {"alpha": 0.7, "beta": 1.3, "balancer": balancer, "network": HardSharing}
    trained(tmp_path, conflicts, keeps, precision="64-true", **options)
    assert [row["step"] for row in rows(conflicts)] == [0, 3, 6]
    for row in rows(conflicts):
        state, batch = keeps.seen[int(row["step"])]
        module = FusionModule(
            SyntheticScenes.classes, backbone=SMALL, **{**options, "balancer": Sum}
        ).double()
        module.load_state_dict({name: v for name, v in state.items() if not name.startswith("balancer.")})
        gradients = [at_shared_map(module, batch, task) for task in (0, 1)]
        (p, q), (own, other) = gradients, (g.norm() for g in gradients)
        assert row["conflict/cosine_semantic_region"] == pytest.approx(float(p @ q / own / other), rel=1e-9)
        assert row["conflict/ratio_semantic_region"] == pytest.approx(float(own / other), rel=1e-9)
        weights = [row[f"conflict/weight_{task}"] for task in ("semantic", "region")]
        assert weights == pytest.approx(keeps.weights[int(row["step"])], rel=1e-6)


def at_shared_map(module: FusionModule, batch: Any, task: int) -> Tensor:
    """The gradient of a task's weighted loss at the map of the shared decoder."""
    maps: list[Tensor] = []
    hook = module.network.decoders["shared"].register_forward_hook(lambda _, __, output: maps.append(output))
    module.training_step(batch, 0)
    hook.remove()
    return torch.autograd.grad(module.current_step.task_losses()[task], maps)[0].flatten()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "steps"),
    [({}, [0, 2, 4, 6]), ({"accumulate_grad_batches": 2}, [0, 2]), ({"accumulate_grad_batches": 3}, [0, 2])],
)
def test_nothing_is_computed_on_other_steps(
    options: dict[str, Any], steps: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    grad, begins = torch.autograd.grad, LambdaCallback(on_train_start=lambda *_: asked.clear())
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **k: asked.append(a) or grad(*a, **k))
    conflicts = Conflicts(2)
    trained(tmp_path, conflicts, begins, **options)
    assert [row["step"] for row in rows(conflicts)] == steps
    assert len(asked) == len(steps) * (2 + 1)  # each task, and what the loss was multiplied by


@pytest.mark.slow
def test_the_rate_is_the_share_of_negative_cosines_in_an_epoch(tmp_path: Path) -> None:
    for network, place in ((APART, ""), (networks.CrossTaskAttention, "_stage5")):
        conflicts = Conflicts(1)
        trained(tmp_path / f"run{place}", conflicts, network=network)
        rates = rows(conflicts, "rate")
        assert [(row["epoch"], row["step"]) for row in rates] == [(0, 4), (1, 8)]
        for rate in rates:
            cosines = [
                row[f"conflict/cosine_semantic_region{place}"]
                for row in rows(conflicts)
                if row["epoch"] == rate["epoch"]
            ]
            assert len(cosines) == 4
            assert rate["conflict/rate_semantic_region"] == sum(c < 0 for c in cosines) / 4


@pytest.mark.slow
def test_a_frozen_encoder_has_its_last_stage_alone(tmp_path: Path) -> None:
    conflicts = Conflicts(4)
    trained(tmp_path, conflicts, freeze_encoder_epochs=1)
    held, free = ([name for name in row if "cosine" in name] for row in rows(conflicts))
    cosine = "conflict/cosine_semantic_region"
    assert held == [cosine, f"{cosine}_stage5"]
    assert free == [cosine, *(cosine + stage for stage in STAGES)]


@pytest.mark.slow
def test_a_task_without_labels_is_not_compared(tmp_path: Path) -> None:
    def unlabelled(trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            batch["region"][:] = 0

    conflicts = Conflicts(1)
    trained(tmp_path, conflicts, LambdaCallback(on_train_batch_start=unlabelled), max_epochs=1, gamma=0.5)
    first, second, *_ = rows(conflicts)
    pairs = ["semantic_region", "semantic_scene", "region_scene"]
    assert [pair for pair in pairs if f"conflict/cosine_{pair}" in first] == ["semantic_scene"]
    assert all(f"conflict/cosine_{pair}" in second for pair in pairs)
    assert [first["conflict/weight_region"], second["conflict/weight_region"]] == [0, 1]


class Killed(BaseException):
    """The end of a process."""


@pytest.mark.slow
def test_a_killed_run_ends_with_the_curves_of_one_that_was_not(tmp_path: Path) -> None:
    def kill(step: int, trainer: Any, *_: Any) -> None:
        if trainer.global_step == step:
            raise Killed

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for step in (3, 4, 6):
        kills = LambdaCallback(on_train_batch_start=partial(kill, step))
        with pytest.raises(Killed):
            trained(killed, Conflicts(1), kills, save_every_n_minutes=0)
    trained(killed, Conflicts(1), save_every_n_minutes=0, draws=True)
    trained(whole, Conflicts(1), save_every_n_minutes=0, draws=True)
    states = [
        torch.load(run / "checkpoints/last.ckpt", weights_only=True)["callbacks"] for run in (whole, killed)
    ]
    assert len(states[0]["Conflicts"]["history"]) == 8 + 2
    assert same(states[0]["Conflicts"], states[1]["Conflicts"])
    for name in ("metrics.csv", "pictures/conflicts.png"):
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), name


def test_one_task_alone_is_told_and_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conflicts = Conflicts(1)
    trained(tmp_path, conflicts, region_head=None)
    assert capsys.readouterr().err.count("Conflicts has nothing to compare: semantic is the only task") == 1
    assert conflicts.history == []
    assert not (tmp_path / "pictures" / "conflicts.png").exists()


def test_what_cannot_be_compared_is_refused(plan: Callable[..., pl.Trainer]) -> None:
    with pytest.raises(ValueError, match="every_n_steps of 1 or more, found 0"):
        Conflicts(0)
    with pytest.raises(ValueError, match=r"task by task \(FusionModule\), found LightningModule"):
        Conflicts().setup(plan(), LightningModule(), "fit")
    mixing = FusionModule(SyntheticScenes.classes, backbone=SMALL, network=networks.PADNet)
    mixing.network.compile_parts("eager")
    with pytest.raises(ValueError, match=r"PADNet has no branching point.*set model.compile to false"):
        Conflicts().setup(plan(), mixing, "fit")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_of_compiled_parts_there_is_the_branching_point(tmp_path: Path) -> None:
    compiles = LambdaCallback(setup=lambda trainer, module, stage: module.network.compile_parts("eager"))
    plain, conflicts = Conflicts(2), Conflicts(2)
    trained(tmp_path / "plain", plain, max_steps=1)
    trained(tmp_path / "compiled", compiles, conflicts, max_steps=1)
    (expected,), (found,) = rows(plain), rows(conflicts)
    cosine = "conflict/cosine_semantic_region"
    assert [name for name in found if "cosine" in name] == [cosine]
    assert found[cosine] == pytest.approx(expected[cosine], rel=1e-4)


class Run(RunLogger):
    """W&B without a run."""

    def __init__(self) -> None:
        self.logged: list[dict[str, Any]] = []

    @property
    def experiment(self) -> Any:
        return SimpleNamespace(log=self.logged.append)


def test_curves_go_to_the_run_folder_and_to_wandb(tmp_path: Path) -> None:
    conflicts, logger = Conflicts(), Run()
    conflicts.history = [{"step": 0, "epoch": 0, "conflict/cosine_a_b": 0.5, "conflict/ratio_a_b": 2.0}]
    trainer: Any = SimpleNamespace(
        default_root_dir=tmp_path, is_global_zero=True, loggers=[logger], global_step=7
    )
    conflicts.on_fit_end(trainer, LightningModule())
    assert (tmp_path / "pictures" / "conflicts.png").stat().st_size > 10_000
    ((key, image), (axis, step)) = logger.logged[0].items()
    assert (key, axis, step) == ("conflict/curves", "trainer/global_step", 7)
    assert (image._width, image._height) == (900, 650)
