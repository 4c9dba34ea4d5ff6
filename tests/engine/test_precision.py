"""Training in half precision equals that in float32 up to rounding, and steps that overflow are skipped."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.plugins import MixedPrecision

from fusionseg.config.errors import UsageError
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine import precision
from fusionseg.engine.precision import placed, slow_precision_notice
from fusionseg.heads import BoundaryHead, CenterOffsetHead
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Sample
from fusionseg.trainer import Trainer

SMALL = Backbone("tu-test_efficientnet", options={"decoder_channels": [16, 16, 8, 8, 8]})
FPN = {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32}
PAIRS = [
    (Backbone("tu-test_resnet", options=SMALL.options), BoundaryHead),
    (
        Backbone("tu-test_efficientnet", decoder="DeepLabV3Plus", options={"decoder_channels": 32}),
        CenterOffsetHead,
    ),
    (Backbone("tu-test_efficientnet", decoder="FPN", options=FPN), BoundaryHead),
    # fp16 convolutions are emulated on many CPUs
    pytest.param(Backbone("resnet18"), BoundaryHead, marks=pytest.mark.slow),
    pytest.param(Backbone("mobilenet_v2", decoder="DeepLabV3Plus"), CenterOffsetHead, marks=pytest.mark.slow),
    pytest.param(Backbone("efficientnet-b0", decoder="FPN"), BoundaryHead, marks=pytest.mark.slow),
]
Losses = Callable[..., tuple[torch.Tensor, FusionModule, Trainer]]


class Read(Callback):
    """The losses of each step."""

    def __init__(self) -> None:
        self.losses: list[list[float]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.losses.append(list(pl_module.loss_log.pop_means(trainer.global_step).values()))


@pytest.fixture
def trained(tmp_path: Path) -> Losses:
    """Trains five steps on the same images and gives the losses of each, the model and the trainer."""

    def losses(
        model: Any, *callbacks: Callback, **options: Any
    ) -> tuple[torch.Tensor, FusionModule, Trainer]:
        torch.manual_seed(0)
        data = SegmentationDataModule(
            partial(SyntheticScenes, length=10, size=(64, 64)), 2, (64, 64), workers=0
        )
        read, module = Read(), model(data.classes)
        fixed: dict[str, Any] = {"max_epochs": 1, "limit_val_batches": 0, "enable_checkpointing": False}
        trainer = Trainer(
            default_root_dir=tmp_path / "run", callbacks=[*callbacks, read], logger=False, **fixed | options
        )
        trainer.started = True
        trainer.fit(module, data)
        return torch.tensor(read.losses), module, trainer

    return losses


def fp16() -> MixedPrecision:
    """Autocast to fp16 with a GradScaler, which Lightning grants a CPU only as a plugin."""
    return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=256.0, growth_interval=2))  # type: ignore[attr-defined]


@pytest.mark.parametrize(("backbone", "region_head"), PAIRS)
def test_half_precision_has_the_same_losses_but_for_rounding(
    backbone: Backbone, region_head: Any, scenes: Callable[..., Sample]
) -> None:
    model = FusionModule(SyntheticScenes.classes, backbone=backbone, region_head=region_head)
    batch = scenes(4, (64, 64))
    torch.manual_seed(0)  # some encoders leave out layers by chance
    loss = model.training_step(batch, 0)
    # in bf16 the loss of MobileNetV2 deviates by 0.025: the root mean square over 40 seeds
    for dtype, near in ((torch.float16, 0.0125), (torch.bfloat16, 0.1)):
        torch.manual_seed(0)
        with torch.autocast("cpu", dtype):
            half = model.training_step(batch, 0)
        assert half.dtype == torch.float32
        assert half.item() == pytest.approx(loss.item(), rel=near)
        half.backward()  # type: ignore[no-untyped-call]
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
        model.zero_grad()


class Overflows(Callback):
    """Gradients of one step that the scaler has to skip, and what the step changed."""

    def __init__(self, step: int) -> None:
        self.step, self.changed = step, True
        self.before: dict[str, Any] = {}

    def state(self, trainer: Any, module: Any) -> dict[str, Any]:
        optimizer = trainer.optimizers[0].state_dict()["state"]
        moments = {f"{i}/{name}": v.clone() for i, own in optimizer.items() for name, v in own.items()}
        return {**{name: p.detach().clone() for name, p in module.named_parameters()}, **moments}

    def on_before_zero_grad(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            self.before = self.state(trainer, pl_module)

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        if trainer.global_step == self.step:
            next(p for p in pl_module.parameters() if p.grad is not None).grad.fill_(float("inf"))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if trainer.global_step == self.step + 1:
            after = self.state(trainer, pl_module)
            self.changed = any(not torch.equal(self.before[name], value) for name, value in after.items())


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step")
def test_an_overflow_that_the_scaler_skips_is_no_error_and_changes_nothing(trained: Losses) -> None:
    overflows, plugin = Overflows(2), fp16()
    losses, _, _ = trained(partial(FusionModule, backbone=SMALL), overflows, plugins=[plugin])
    assert losses.isfinite().all()
    assert overflows.before
    assert not overflows.changed
    assert plugin.scaler is not None
    assert plugin.scaler.get_scale() == 256.0 * 2 * 0.5 * 2  # grown after two steps, halved, grown again


class GradientNorms(Callback):
    """The norm of all gradients of each step but the last, as the optimizer saw them."""

    def __init__(self) -> None:
        self.norms: list[float] = []

    def on_before_zero_grad(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        gradients = [p.grad.flatten() for p in pl_module.parameters() if p.grad is not None]
        if gradients:
            self.norms.append(torch.cat(gradients).norm().item())


@pytest.mark.parametrize("precision", ["bf16", pytest.param("fp16", marks=pytest.mark.slow), "32"])
def test_gradients_are_clipped_in_every_precision_with_the_default_optimizer(
    precision: str, trained: Losses
) -> None:
    norms = GradientNorms()
    chosen: dict[str, dict[str, Any]] = {
        "bf16": {"precision": "bf16-mixed"},
        "fp16": {"plugins": [fp16()]},
        "32": {"precision": "32-true"},
    }
    model = partial(FusionModule, backbone=SMALL)
    losses, _, trainer = trained(model, norms, gradient_clip_val=0.01, **chosen[precision])
    assert losses.isfinite().all()
    assert norms.norms == pytest.approx([0.01] * 4, rel=0.01)
    assert trainer.optimizers[0].defaults["fused"] == (True if precision == "32" else None)


@pytest.mark.parametrize("precision", ["7", "transformer-engine"])
def test_a_precision_that_there_is_not_is_one_line(
    precision: str, small: Callable[..., FusionModule]
) -> None:
    with pytest.raises(UsageError, match=r"^precision: (Precision '7' is invalid|Requirement 'transformer_)"):
        placed(small(), precision)


def test_a_line_says_where_bf16_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_cpu_has_bf16", lambda: False)
    assert "32-true is faster" in slow_precision_notice("bf16-mixed", "cpu")
    assert not slow_precision_notice("32-true", "cpu")
    monkeypatch.setattr(precision, "_cpu_has_bf16", lambda: True)
    assert not slow_precision_notice("bf16-mixed", "cpu")
