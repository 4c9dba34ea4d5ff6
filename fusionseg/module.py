"""The LightningModule: two tasks, one loss."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fusionseg.backbone import Backbone, Encoder
from fusionseg.heads import BoundaryHead, Head, SemanticHead
from fusionseg.losses import Loss
from fusionseg.measured import MeasuredModule
from fusionseg.networks import HardSharing, Network
from fusionseg.objective import check_parts, divided, loss_weights, weighted
from fusionseg.optimization import WarmupPoly, grouped, scheduled
from fusionseg.ranks import reduced, world_size
from fusionseg.recipe import plain
from fusionseg.running import RunningLosses, check_finite
from fusionseg.sample import Classes, Sample


class FusionModule(MeasuredModule):
    """Semantic and region segmentation together: `L = alpha * L_semantic + beta * L_region`.

    Args:
        classes: What the data declares (`SegmentationDataModule.classes`); the command line fills it in.
        alpha: Weight of the semantic loss.
        beta: Weight of the region loss.
        semantic_head: Recipe of the head that says which class a pixel is; null trains the regions alone.
        region_head: Recipe of the head that says which pixels belong together; null trains the classes alone.
        network: Recipe of how the tasks share.
        backbone: Which encoder and decoder.
        optimizer: Recipe of the optimizer.
        schedule: Recipe of the learning-rate schedule, such as `WarmupPoly` or any of torch's. One that has an argument
            `total_steps` is told the number of optimizer steps and is stepped with each, others are stepped each epoch.
        encoder_lr: Learning rate of the encoder as a factor of the optimizer's.
        freeze_encoder_epochs: For so many first epochs the encoder does not change.
        l1: Weight of the sum of the absolute values of all parameters.
        compile: Compile encoder, decoders and heads with torch.compile.
    """

    def __init__(
        self,
        classes: Classes | dict[str, Any],
        alpha: float = 1.0,
        beta: float = 1.0,
        semantic_head: Callable[[int, int], Head] | None = SemanticHead,
        region_head: Callable[[int], Head] | None = BoundaryHead,
        network: Callable[[dict[str, Callable[[int], Head]], Backbone], Network] = HardSharing,
        backbone: Backbone = Backbone(),  # noqa: B008 (frozen)
        optimizer: Callable[[Any], Optimizer] = AdamW,
        schedule: Callable[[Optimizer], LRScheduler] | None = WarmupPoly,
        encoder_lr: float = 1.0,
        freeze_encoder_epochs: int = 0,
        l1: float = 0.0,
        compile: bool = False,
    ) -> None:
        recipe = {name: plain(value) for name, value in dict(locals()).items() if name not in ("self", "__class__")}
        tasks = loss_weights(semantic=alpha if semantic_head else None, region=beta if region_head else None)
        super().__init__(classes if isinstance(classes, Classes) else Classes(**classes), tasks)
        # named as the command line does, so that Lightning's load_from_checkpoint rebuilds the recipes
        self.save_hyperparameters({**recipe, "_instantiator": "lightning.pytorch.cli.instantiate_module"}, logger=False)
        check_parts(semantic_head, region_head, encoder_lr, l1)
        heads: dict[str, Callable[[int], Head]] = {}
        if semantic_head:
            heads["semantic"] = lambda channels: semantic_head(channels, len(self.classes))
        if region_head:
            heads["region"] = region_head
        self.network = network(heads, backbone)
        self.optimizer, self.schedule, self.encoder_lr, self.l1 = optimizer, schedule, encoder_lr, l1
        self.freeze_encoder_epochs = freeze_encoder_epochs
        self.running = RunningLosses(self.tasks)
        self.unread: dict[str, Any] | None = None
        self.latest: dict[str, float] = {}
        self.to(memory_format=torch.channels_last)
        if compile:
            for part in (self.network.encoder, *self.network.decoders.values(), *self.network.heads.values()):
                part.compile()

    def training_step(self, batch: Sample, _: int) -> Tensor:
        sums, weights = self.terms(self(batch["image"]), batch)
        losses = divided(sums * world_size(), reduced(weights))
        loss = weighted(losses, self.loss_weights.values())
        if self.l1:
            loss = loss + self.l1 * torch.stack([p.abs().sum() for p in self.parameters() if p.requires_grad]).sum()
        self.running.add(loss, losses, self.global_step, batch["name"])
        return loss

    def log_losses(self) -> None:
        """Logs the mean losses since the last call: the only place where training waits for the device."""
        if not self.running.count:
            return
        self.latest = self.running.read(self.global_step)
        self._tell({**self.latest, "train/lr": self.trainer.optimizers[0].param_groups[-1]["lr"]})

    def on_train_start(self) -> None:
        self.running = RunningLosses(self.tasks)
        self.running.logged = self.global_step
        if self.unread is not None:
            self.running.restore(self.unread, self.global_rank, self.device)
        self.unread = None
        self.hold_encoder(self.current_epoch < self.freeze_encoder_epochs)  # an epoch that goes on does not start

    def on_train_epoch_start(self) -> None:
        self.hold_encoder(self.current_epoch < self.freeze_encoder_epochs)

    def on_train_batch_start(self, batch: Sample, batch_idx: int) -> None:
        # here and not after a step, so that a checkpoint written there has what was not logged yet
        if self.running.count and self.running.due(self.global_step, self.trainer.log_every_n_steps):  # type: ignore[attr-defined]
            self.log_losses()
        # dropout draws other numbers on each rank and in each step, and the same ones in a resumed run
        key = (int(os.environ.get("PL_GLOBAL_SEED", 0)), self.current_epoch, batch_idx, self.global_rank)
        seed = int(np.random.SeedSequence(key).generate_state(1)[0])
        # torch.manual_seed asks for every kind of device, at 60 times the cost
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def on_train_batch_end(self, *_: Any) -> None:
        if self.trainer.is_last_batch or self.global_step == self.trainer.max_steps:
            self.log_losses()  # before the epoch's line is printed

    def on_validation_start(self) -> None:
        self.log_losses()

    def on_train_epoch_end(self) -> None:
        self.log_losses()

    def hold_encoder(self, frozen: bool) -> None:
        """Keeps the encoder as it is, or lets it learn again."""
        encoder: Any = self.network.encoder
        encoder.frozen = frozen
        encoder.train(self.training)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        if getattr(self.network.encoder, "frozen", False):
            for parameter in self.network.encoder.parameters():
                parameter.grad = None  # a zero gradient would still decay weights and move momenta

    def setup(self, stage: str) -> None:
        hungry = [m for m in self.modules() if isinstance(m, Loss) and m.needs_counts]
        if stage == "fit" and hungry:
            count = getattr(getattr(self.trainer, "datamodule", None), "class_counts", None)
            if count is None:
                raise ValueError("expected a datamodule with class_counts() to balance by: give class weights instead")
            counts = count()
            for loss in hungry:
                loss.balance(counts)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        # under a GradScaler a fused optimizer unscales by itself, which Lightning refuses together with clipping
        allowed = scaler is None or not self.trainer.gradient_clip_val
        optimizer = grouped(self.optimizer, self.network, self.network.encoder, self.encoder_lr, allowed)
        if self.schedule is None:
            return optimizer
        rule, interval = scheduled(self.schedule, optimizer, self.trainer.estimated_stepping_batches)
        # the figure is for ReduceLROnPlateau alone
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": rule, "interval": interval, "monitor": "val/loss"},
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.unread = checkpoint.get("losses")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["losses"] = self.running.state()
        check_finite(checkpoint["state_dict"], self.global_step)
        # a checkpoint is rebuilt without the file or download that its weights once began with
        own, encoder = checkpoint["hyper_parameters"], self.network.encoder
        if isinstance(encoder, Encoder):
            seen = {"mean": encoder.mean.flatten().tolist(), "std": encoder.std.flatten().tolist()}
            own["backbone"] = {**own["backbone"], "weights": None, **seen}
