"""The LightningModule: two tasks, one loss, measured."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fusionseg.answers import Truths, answers, common_size, padded
from fusionseg.backbone import Backbone, Encoder
from fusionseg.heads import BoundaryHead, Head, SemanticHead
from fusionseg.losses import Loss
from fusionseg.metrics.measures import Measures, total
from fusionseg.networks import HardSharing, Network
from fusionseg.objective import check_parts, divided, loss_weights, weighted
from fusionseg.optimization import WarmupPoly, grouped, scheduled
from fusionseg.ranks import reduced, reduced_sums, world_size
from fusionseg.recipe import plain
from fusionseg.running import RunningMean
from fusionseg.sample import Classes, Counted, Frame, Prediction, Sample


class FusionModule(LightningModule):
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
        super().__init__()
        recipe = {name: plain(value) for name, value in dict(locals()).items() if name not in ("self", "__class__")}
        # named as the command line does, so that Lightning's load_from_checkpoint rebuilds the recipes
        self.save_hyperparameters({**recipe, "_instantiator": "lightning.pytorch.cli.instantiate_module"}, logger=False)
        self.classes = classes if isinstance(classes, Classes) else Classes(**classes)
        self.loss_weights = loss_weights(
            semantic=alpha if semantic_head else None, region=beta if region_head else None
        )
        check_parts(semantic_head, region_head, encoder_lr, l1)
        heads: dict[str, Callable[[int], Head]] = {}
        if semantic_head:
            heads["semantic"] = lambda channels: semantic_head(channels, len(self.classes))
        if region_head:
            heads["region"] = region_head
        self.network = network(heads, backbone)
        self.optimizer, self.schedule, self.encoder_lr, self.l1 = optimizer, schedule, encoder_lr, l1
        self.freeze_encoder_epochs = freeze_encoder_epochs
        self.measures = Measures(self.classes)
        self.sums: Counted = {}
        self.truths: Truths | None = None
        self.running, self.logged = RunningMean(), 0
        self.latest: dict[str, float] = {}
        self.to(memory_format=torch.channels_last)
        if compile:
            for part in (self.network.encoder, *self.network.decoders.values(), *self.network.heads.values()):
                part.compile()

    @property
    def tasks(self) -> list[str]:
        """The tasks that are trained, in the order in which losses are listed."""
        return list(self.loss_weights)

    def forward(self, image: Tensor) -> list[dict[str, Any]]:
        """The network's refinements for images whose sides are multiples of 32."""
        return self.network(image)  # type: ignore[no-any-return]

    def terms(self, refinements: list[dict[str, Any]], batch: Sample) -> tuple[Tensor, Tensor]:
        """Sums and weights of the loss terms of this rank's batch, (T, K) each: task by task, padded with zeros."""
        rows = []
        for task in self.tasks:
            head: Any = self.network.heads[task]
            target = head.target(batch)
            rows.append(
                [torch.cat(parts) for parts in zip(*(head.loss(r[task], target) for r in refinements), strict=True)]
            )
        sums, weights = (pad_sequence([row[i] for row in rows], batch_first=True) for i in (0, 1))
        return sums, weights

    def training_step(self, batch: Sample, _: int) -> Tensor:
        sums, weights = self.terms(self(batch["image"]), batch)
        losses = divided(sums * world_size(), reduced(weights))
        loss = weighted(losses, self.loss_weights.values())
        if self.l1:
            loss = loss + self.l1 * torch.stack([p.abs().sum() for p in self.parameters() if p.requires_grad]).sum()
        self.running.add(torch.cat([loss[None], losses]).detach())
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        due = every and self.global_step // every > self.logged // every
        if due or self.trainer.is_last_batch or self.global_step == self.trainer.max_steps:
            self.log_running()

    def log_running(self) -> None:
        """Logs the mean losses since the last call: the only place where training waits for the device."""
        if not self.running.count:
            return
        self.logged, names = self.global_step, ["train/loss", *(f"train/loss_{task}" for task in self.tasks)]
        self.latest = dict(zip(names, self.running.read(), strict=True))
        rate = self.trainer.optimizers[0].param_groups[-1]["lr"]
        for logger in self.loggers:
            logger.log_metrics({**self.latest, "train/lr": rate, "epoch": self.current_epoch}, self.global_step)

    def on_train_start(self) -> None:
        self.running, self.logged = RunningMean(), self.global_step

    def on_train_epoch_start(self) -> None:
        self.hold_encoder(self.current_epoch < self.freeze_encoder_epochs)
        # dropout draws other numbers on each rank, and the same ones in a resumed run
        key = (int(os.environ.get("PL_GLOBAL_SEED", 0)), self.current_epoch, self.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))

    def hold_encoder(self, frozen: bool) -> None:
        """Keeps the encoder as it is, or lets it learn again."""
        encoder: Any = self.network.encoder
        encoder.frozen = frozen
        encoder.train(self.training)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        if getattr(self.network.encoder, "frozen", False):
            for parameter in self.network.encoder.parameters():
                parameter.grad = None  # a zero gradient would still decay weights and move momenta

    @torch.no_grad()
    def predictions(self, batch: Sample, size: tuple[int, int]) -> list[Prediction]:
        """The answers for a batch of any size, at the size of its label files (H, W)."""
        valid = batch["image"].shape[-2:]
        batch = padded(batch)
        return self._answers(self(batch["image"])[-1], batch, (valid[0], valid[1]), size)

    def on_validation_epoch_start(self) -> None:
        self.sums, self.truths = {}, None  # an interrupted validation may have left some

    on_test_epoch_start = on_validation_epoch_start

    def validation_step(self, batch: Sample, _: int) -> Any:
        return self._measured(batch, self.trainer.val_dataloaders)

    def test_step(self, batch: Sample, _: int) -> Any:
        return self._measured(batch, self.trainer.test_dataloaders)

    def on_validation_epoch_end(self) -> None:
        self._log_measures("val")

    def on_test_epoch_end(self) -> None:
        self._log_measures("test")

    def _measured(self, batch: Sample, loader: Any) -> list[Prediction]:
        self.truths = self.truths or Truths(loader.dataset)
        pending = self.truths.start(batch)
        valid = (batch["image"].shape[-2], batch["image"].shape[-1])
        batch = padded(batch)
        refinements = self(batch["image"])
        terms = torch.stack(self.terms(refinements, batch))
        truths = [truth.result() for truth in pending]
        predictions = self._answers(refinements[-1], batch, valid, common_size(truths))
        images = (self.measures.sums(p, t) for p, t in zip(predictions, truths, strict=True))
        self.sums = total([self.sums, {"terms": terms.cpu().numpy().astype(np.float64)}, *images])
        return predictions

    def _answers(
        self, outputs: dict[str, Any], batch: Sample, valid: tuple[int, int], size: tuple[int, int]
    ) -> list[Prediction]:
        height, width = batch["image"].shape[-2:]
        heads: Any = self.network.heads
        return answers(outputs, dict(heads.items()), Frame((height, width), valid, size), batch["name"], self.classes)

    def _log_measures(self, stage: str) -> None:
        if not self.sums:
            return
        self.totals = reduced_sums(self.sums, self.device)
        losses = divided(*torch.from_numpy(self.totals["terms"])).tolist()
        figures = {f"loss_{task}": value for task, value in zip(self.tasks, losses, strict=True)}
        figures["loss"] = sum(w * v for w, v in zip(self.loss_weights.values(), losses, strict=True))
        figures |= self.measures.figures(self.totals)
        self.log_dict({f"{stage}/{name}": value for name, value in figures.items()}, sync_dist=world_size() > 1)
        self.sums, self.truths = {}, None

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

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # a checkpoint is rebuilt without the file or download that its weights once began with
        own, encoder = checkpoint["hyper_parameters"], self.network.encoder
        if isinstance(encoder, Encoder):
            seen = {"mean": encoder.mean.flatten().tolist(), "std": encoder.std.flatten().tolist()}
            own["backbone"] = {**own["backbone"], "weights": None, **seen}
