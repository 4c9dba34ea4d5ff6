"""Balancers within a training: resume, steps that are left out, losses taken again, and what cannot work."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor

from benchmarks.running import same
from fusionseg import balancing
from fusionseg.balancing import GradientBalancer, GradNorm
from fusionseg.commands import fit
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.seeding import reseed
from fusionseg.heads import SemanticHead
from fusionseg.module import FusionModule
from fusionseg.networks import HardSharing, Network
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Sample
from fusionseg.trainer import Trainer

SMALL = Backbone("tu-test_efficientnet", options={"decoder_channels": [16, 16, 8, 8, 8]})
APART = partial(HardSharing, shared_decoder=False)
DROPPING = partial(SemanticHead, dropout=0.3)
EVERY = [
    getattr(balancing, name)
    for name in balancing.__all__
    if name not in ("Balancer", "GradientBalancer", "TorchJDWeighting")
]
LEVELS = [
    partial(kind, level=level)
    for kind in EVERY
    if issubclass(kind, GradientBalancer)
    for level in ("branch", "parameters")
] + [partial(kind) for kind in EVERY if not issubclass(kind, GradientBalancer)]


def word(recipe: Any) -> str:
    return (
        " ".join([recipe.func.__name__, *map(str, recipe.keywords.values())])
        if recipe.keywords
        else recipe.func.__name__
    )


def trained(folder: Path, balancer: Any, *callbacks: Callback, **options: Any) -> tuple[FusionModule, Path]:
    """Trains on a few scenes, from where a run in the folder stopped if there is one."""
    seed_everything(0)
    data = SegmentationDataModule(partial(SyntheticScenes, length=9, size=(32, 32)), 2, (32, 32), workers=0)
    model = partial(FusionModule, backbone=SMALL, network=APART, schedule=None, semantic_head=DROPPING)
    module, last = model(data.classes, balancer=balancer), folder / "checkpoints" / "last.ckpt"
    fixed: dict[str, Any] = {"max_epochs": 3, "precision": "32-true", "check_val_every_n_epoch": 5}
    trainer = Trainer(default_root_dir=folder, callbacks=list(callbacks), **{**fixed, **options})
    trainer.started = True
    trainer.fit(module, data, ckpt_path=last if last.is_file() else None)
    return module, last


FAST = ("UW", "DWA", "FAMO", "MGDA branch", "GradNorm branch", "GradVac parameters")
# what is remembered, or drawn, is so at both levels; of those that do neither, there is one
SLOW = ("IMTLL", "RLW", "PCGrad parameters")
SOME = [
    pytest.param(b, id=word(b), marks=() if word(b) in FAST else pytest.mark.slow)
    for b in LEVELS
    if word(b) in (*FAST, *SLOW)
]
REMEMBERING = [b for b in LEVELS if list(b(2).buffers())]
SOME_REMEMBERING = [
    pytest.param(b, id=word(b), marks=() if word(b) in (*FAST, *SLOW) else pytest.mark.slow)
    for b in REMEMBERING
]


def test_every_balancer_that_remembers_is_among_them() -> None:
    assert {b.func.__name__ for b in REMEMBERING} <= {word(param.values[0]).split()[0] for param in SOME}


@pytest.mark.filterwarnings("ignore:.*max_steps")
@pytest.mark.parametrize("balancer", SOME)
def test_a_stopped_run_goes_on_with_what_its_balancer_remembers(
    balancer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    _, whole = trained(tmp_path / "whole", balancer)
    # in the third epoch, when there are means of two epochs, which some remember besides the last step
    for steps in (9, -1):
        _, parted = trained(tmp_path / "parted", balancer, max_steps=steps)
    one, other = (torch.load(path, weights_only=True) for path in (whole, parted))
    assert one["global_step"] == 12
    for key in ("state_dict", "optimizer_states", "losses"):
        assert same(one[key], other[key]), key


@pytest.mark.parametrize("lr", [0.0, 0.1])
def test_famo_looks_again_at_the_losses_of_its_step_and_touches_nothing(
    lr: float, scenes: Callable[..., Sample], plan: Callable[..., Any]
) -> None:
    batch, told = scenes(2, (64, 64)), []
    once, twice = (
        FusionModule(
            SyntheticScenes.classes,
            alpha=0.75,
            beta=1.25,
            semantic_head=DROPPING,
            backbone=SMALL,
            network=APART,
            balancer=balancing.FAMO,
            optimizer=partial(torch.optim.SGD, lr=lr),
            schedule=None,
        ).double()
        for _ in range(2)
    )
    once.trainer = plan()
    once.balancer.stepped = lambda _, again: told.append(again)  # type: ignore[method-assign, assignment, misc]
    optimizer: Any = once.configure_optimizers()
    once.on_train_batch_start(batch, 5)
    once.backward(once.training_step(batch, 5))
    first = torch.stack(once.current_step.task_losses()).detach()
    before = {name: value.clone() for name, value in once.network.named_buffers()}
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in once.network.named_buffers())
    assert sum("num_batches_tracked" in name for name in before) > 10
    # an independent pass of the same images, with the dropout of the first
    twice.load_state_dict(once.state_dict())
    reseed(torch.device("cpu"), 0, 5, 0)
    (output,), losses = twice(batch["image"]), []
    for task, factor in (("semantic", 0.75), ("region", 1.25)):
        head: Any = twice.network.heads[task]
        total, weight = head.loss(output[task], head.target(batch))
        losses.append(factor * (total / weight).sum().detach())
    torch.testing.assert_close(told[0], torch.stack(losses), atol=0, rtol=1e-10)
    moved = (told[0] - first).abs() / first
    assert (moved < 1e-10).all() if lr == 0 else (moved > 1e-3).all()


class Watching(Callback):
    """What the balancer remembers after each batch, and by what the scaler multiplied its loss."""

    def __init__(self, scaler: Any) -> None:
        self.scaler, self.seen = scaler, [{}]
        self.scales: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.seen.append({name: value.clone() for name, value in pl_module.balancer.named_buffers()})
        self.scales.append(self.scaler.get_scale())


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step")
@pytest.mark.parametrize("balancer", SOME_REMEMBERING)
def test_a_step_that_the_scaler_leaves_out_moves_nothing(balancer: Any, tmp_path: Path) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**21, growth_interval=100)  # type: ignore[attr-defined]
    watching, plugin = Watching(scaler), MixedPrecision("16-mixed", "cpu", scaler)
    fixed: dict[str, Any] = {
        "max_epochs": 2,
        "plugins": [plugin],
        "precision": None,
        "enable_checkpointing": False,
        "limit_val_batches": 1,
    }
    trained(tmp_path / "run", balancer, watching, **fixed)
    skipped = [
        after < before for before, after in zip([2.0**21, *watching.scales], watching.scales, strict=False)
    ]
    assert any(skipped)
    assert not all(skipped)
    for out, before, after in zip(skipped, watching.seen, watching.seen[1:], strict=False):
        if before:
            epochs = {"total", "steps", "means"} if "total" in after else set()
            same_state = all(torch.equal(before[name], after[name]) for name in after.keys() - epochs)
            assert same_state or not out


class Mixing(Network):
    """A network whose tasks' paths meet behind every cut."""

    def __init__(self, heads: Any, backbone: Backbone) -> None:
        super().__init__()
        inner = HardSharing(heads, backbone)
        self.encoder, self.decoders, self.heads = inner.encoder, inner.decoders, inner.heads

    def forward(self, image: Tensor) -> list[dict[str, Any]]:
        features = self.decoders["shared"](self.encoder(image))
        return [{task: head(features) for task, head in self.heads.items()}]


def test_a_network_without_a_branching_point_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"MGDA.*Mixing.*set model.balancer.level to parameters"):
        FusionModule(SyntheticScenes.classes, backbone=SMALL, network=Mixing, balancer=balancing.MGDA)
    FusionModule(
        SyntheticScenes.classes,
        backbone=SMALL,
        network=Mixing,
        balancer=partial(balancing.MGDA, level="parameters"),
    )


@pytest.mark.slow
def test_a_factor_that_a_balancer_undoes_is_told(tiny: list[str], tmp_path: Path, capsys: Any) -> None:
    words = [*tiny, "--trainer.max_steps", "1", "--model.beta", "0.5"]
    for name, said in (("UW", True), ("Sum", False), ("DWA", False)):
        fit.main([*words, "--model.balancer", name, "--out", str(tmp_path / name)])
        assert ("beta 0.5" in capsys.readouterr().err) == said


def test_a_checkpoint_alone_rebuilds_the_balancer(tmp_path: Path) -> None:
    module, last = trained(
        tmp_path / "run", partial(GradNorm, level="parameters", asymmetry=0.5), max_epochs=1
    )
    again = FusionModule.load_from_checkpoint(last, weights_only=True)
    assert isinstance(again.balancer, GradNorm)
    assert (again.balancer.level, again.balancer.asymmetry) == ("parameters", 0.5)
    assert same(again.state_dict(), module.state_dict())
