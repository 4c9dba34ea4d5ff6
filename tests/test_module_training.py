import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader

from fusionseg.config.lightning_messages import quiet
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.heads import SemanticHead
from fusionseg.losses import CrossEntropy
from fusionseg.module import FusionModule
from fusionseg.networks import HardSharing
from fusionseg.sample import Sample

Data = Callable[..., SegmentationDataModule]
Plan = Callable[..., pl.Trainer]
Small = Callable[..., FusionModule]


class Record(CSVLogger):
    """Keeps what is logged while training."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.rows: list[tuple[int, dict[str, Any]]] = []

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        if "train/loss" in metrics:
            self.rows.append((step or 0, metrics))


class Foreign(pl.LightningDataModule):
    """A datamodule that keeps the contract of a sample and no more."""

    def __init__(self, scenes: SegmentationDataModule) -> None:
        super().__init__()
        self.scenes = scenes

    def train_dataloader(self) -> DataLoader[Any]:
        return self.scenes.train_dataloader()

    val_dataloader = train_dataloader


def fit(trainer: pl.Trainer, model: FusionModule, data: SegmentationDataModule) -> dict[str, float]:
    with quiet():
        trainer.fit(model, datamodule=data)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": partial(SGD, lr=0.5, momentum=0.9), "schedule": None},
        {"schedule": partial(StepLR, step_size=1)},
        {"schedule": partial(OneCycleLR, max_lr=0.01)},
        {"schedule": partial(ReduceLROnPlateau, patience=0), "encoder_lr": 0.1},
    ],
)
def test_any_optimizer_and_schedule_of_torch_trains(
    options: dict[str, Any], small: Small, datamodule: Data, plan: Plan
) -> None:
    model = small(**options)
    before = {name: p.clone() for name, p in model.named_parameters()}
    figures = fit(plan(gradient_clip_val=1.0), model, datamodule())
    assert np.isfinite(figures["val/loss"])
    still = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
    assert not still


def test_a_schedule_of_steps_is_told_the_optimizer_s_steps(
    small: Small, datamodule: Data, plan: Plan
) -> None:
    model = small(schedule=partial(OneCycleLR, max_lr=0.01))
    trainer = plan(max_epochs=3, accumulate_grad_batches=2, limit_val_batches=0)
    fit(trainer, model, datamodule(batch_size=1))
    (rule,) = trainer.lr_scheduler_configs
    assert rule.interval == "step"
    assert rule.scheduler.total_steps == 9 == trainer.global_step  # type: ignore[union-attr]


def test_one_decoder_for_each_task_trains_too(small: Small, datamodule: Data, plan: Plan) -> None:
    model = small(network=partial(HardSharing, shared_decoder=False))
    assert np.isfinite(fit(plan(), model, datamodule())["val/loss"])


def test_balanced_class_weights_are_taken_from_the_data(small: Small, datamodule: Data, plan: Plan) -> None:
    model = small(
        semantic_head=partial(SemanticHead, losses=[partial(CrossEntropy, class_weights="balanced")])
    )
    data = datamodule()
    fit(plan(max_steps=1, limit_val_batches=0), model, data)
    counts = data.class_counts().float()
    share = counts / counts.sum()
    expected = torch.where(counts > 0, share[counts > 0].median() / share, 0)
    found = model.network.heads["semantic"].losses[0].weight[:6]  # type: ignore[union-attr, index]
    even = (counts > 0).sum() % 2 == 0  # the median of an even number is between two
    torch.testing.assert_close(found / found.max(), expected / expected.max() if even else expected)


def test_a_resumed_run_takes_its_class_weights_from_the_checkpoint(
    small: Small, datamodule: Data, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def model() -> FusionModule:
        loss = partial(CrossEntropy, class_weights="balanced")
        return small(semantic_head=partial(SemanticHead, losses=[loss]))

    first, second = model(), model()
    trainer = plan(max_steps=1, limit_val_batches=0)
    fit(trainer, first, datamodule())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    monkeypatch.setattr(SegmentationDataModule, "class_counts", lambda _: pytest.fail("counted again"))
    with quiet():
        plan(max_steps=2, limit_val_batches=0).fit(
            second, datamodule=datamodule(), ckpt_path=tmp_path / "last.ckpt", weights_only=True
        )
    weights = [m.network.heads["semantic"].losses[0].weight for m in (first, second)]  # type: ignore[union-attr, index]
    assert torch.equal(*weights)
    assert weights[1].any()


def test_balancing_without_data_that_can_count_is_refused(small: Small, datamodule: Data, plan: Plan) -> None:
    model = small(
        semantic_head=partial(SemanticHead, losses=[partial(CrossEntropy, class_weights="balanced")])
    )
    with pytest.raises(ValueError, match=r"expected a datamodule with class_counts"), quiet():
        plan().fit(model, datamodule=Foreign(datamodule()))


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"log_every_n_steps": 2}, [2, 4, 5]),
        ({"log_every_n_steps": 50}, [5]),
        ({"log_every_n_steps": 0}, [5]),
        ({"log_every_n_steps": 50, "max_steps": 3}, [3]),
        ({"log_every_n_steps": 2, "accumulate_grad_batches": 2, "max_epochs": 2}, [2, 3, 4, 6]),
    ],
)
def test_logged_losses_are_means_over_all_steps_since_the_last(
    options: dict[str, Any], steps: list[int], small: Small, datamodule: Data, plan: Plan, tmp_path: Path
) -> None:
    model, logger = small(), Record(tmp_path)
    losses: list[float] = []
    step = model.training_step

    def watched(batch: Sample, batch_idx: int) -> Tensor:
        loss = step(batch, batch_idx)
        losses.append(loss.item())
        return loss

    with patch.object(model, "training_step", watched):
        fit(plan(logger=logger, limit_val_batches=0, **options), model, datamodule(batch_size=1))
    assert [step for step, _ in logger.rows] == steps
    epochs, each = options.get("max_epochs", 1), options.get("accumulate_grad_batches", 1)
    batches = [min(each, 5 - i) for _ in range(epochs) for i in range(0, 5, each)][: steps[-1]]
    assert len(losses) == sum(batches)
    ends = [sum(batches[:step]) for step in steps]
    means = [np.mean(losses[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
    assert [row["train/loss"] for _, row in logger.rows] == pytest.approx(means)
    assert set(logger.rows[0][1]) == {
        "train/loss",
        "train/loss_semantic",
        "train/loss_region",
        "train/lr",
        "epoch",
    }


@pytest.mark.parametrize(
    "optimizer", [partial(AdamW, lr=0.01, weight_decay=0.5), partial(SGD, lr=0.01, momentum=0.9)]
)
def test_a_held_encoder_stays_as_it_is_and_learns_afterwards(
    optimizer: Callable[..., Optimizer], small: Small, datamodule: Data, plan: Plan
) -> None:
    model = small(optimizer=optimizer, schedule=None, freeze_encoder_epochs=1, l1=1e-4)
    states: list[dict[str, Tensor]] = []

    class Watch(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            states.append(copy.deepcopy(model.network.state_dict()))

        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            states.append(copy.deepcopy(model.network.state_dict()))
            touched = {id(p) for p in trainer.optimizers[0].state}
            of_encoder = {id(p) for p in model.network.encoder.parameters()}
            assert (touched & of_encoder == set()) == (trainer.current_epoch == 0)

    fit(plan(max_epochs=2, callbacks=[Watch()]), model, datamodule())
    start, held, free = states
    moved = [{n for n in start if not torch.equal(a[n], b[n])} for a, b in ((start, held), (held, free))]
    parts = {n for n in start if "num_batches_tracked" not in n}
    assert {n for n in moved[0] if n.startswith("encoder.")} == set()
    assert parts - moved[0] == {n for n in parts if n.startswith("encoder.")}
    assert parts - moved[1] == set()


def test_dropout_is_a_matter_of_seed_epoch_batch_and_rank(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small()

    def draws(seed: int, epoch: int, rank: int, batch: int) -> list[float]:
        monkeypatch.setenv("PL_GLOBAL_SEED", str(seed))
        with (
            patch.object(FusionModule, "current_epoch", epoch),
            patch.object(FusionModule, "global_rank", rank),
        ):
            model.on_train_batch_start({}, batch)
        return torch.rand(3).tolist()

    keys = [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0, 0, 0, 0)]
    assert [draws(*key) for key in keys] == [draws(*key) for key in keys]
    assert len({tuple(draws(*key)) for key in keys}) == len(keys)


@pytest.mark.slow
def test_averaged_weights_and_early_stopping_work(small: Small, datamodule: Data, plan: Plan) -> None:
    model = small()
    plain = copy.deepcopy(model)
    stop = EarlyStopping("val/score", mode="max", patience=5)
    figures = fit(plan(max_epochs=2, callbacks=[EMAWeightAveraging(decay=0.5), stop]), model, datamodule())
    assert float(stop.best_score) >= figures["val/score"] > 0
    fit(plan(max_epochs=2), plain, datamodule())
    assert not any(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))
    with quiet():
        (again,) = plan().validate(model, datamodule=datamodule(), verbose=False)
    assert again["val/loss"] == pytest.approx(figures["val/loss"], rel=1e-5)


def test_early_stopping_stops(small: Small, datamodule: Data, plan: Plan) -> None:
    trainer = plan(
        max_epochs=9, callbacks=[EarlyStopping("val/score", mode="max", min_delta=1.0, patience=1)]
    )
    fit(trainer, small(), datamodule())
    assert trainer.current_epoch == 2


class Stops(SemanticHead):
    """Ends an iteration that is not its own, in training or in validation."""

    while_training = True

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features) if self.training != self.while_training else next(iter([]))


@pytest.mark.parametrize("training", [True, False])
def test_an_iteration_that_a_head_stops_does_not_end_an_epoch(
    training: bool, small: Small, datamodule: Data, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stops, "while_training", training)
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        fit(plan(max_epochs=1), small(semantic_head=Stops), datamodule())
