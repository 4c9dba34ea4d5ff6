"""The LightningModule: several tasks, one loss."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fusionseg.balanced import BalancedModule
from fusionseg.balancing import Balancer, Sum
from fusionseg.config.recipe import made, plain
from fusionseg.engine.loss_log import LossLog, check_finite
from fusionseg.engine.objective import check_parts, loss_weights
from fusionseg.engine.optimization import WarmupPoly, grouped, scheduled
from fusionseg.heads import BoundaryHead, Head, SceneHead, SemanticHead
from fusionseg.losses import Loss
from fusionseg.networks import HardSharing, Network
from fusionseg.networks.backbone import Backbone, Encoder
from fusionseg.sample import Classes, Sample


class FusionModule(BalancedModule):
    """Semantic and region segmentation together: `L = alpha * L_semantic + beta * L_region`.

    Args:
        classes: What the data declares (`SegmentationDataModule.classes`); the command line fills it in.
        alpha: Weight of the semantic loss.
        beta: Weight of the region loss.
        gamma: Weight of the scene loss; without a weight there is no scene head.
        semantic_head: Recipe of the head that says which class a pixel is; null trains the regions alone.
        region_head: Recipe of the head that says which pixels belong together; null trains the classes alone.
        scene_head: Recipe of the head that says which classes the image shows.
        network: Recipe of how the tasks share.
        backbone: Which encoder and decoder.
        balancer: Recipe of how the weighted losses become a gradient: a plain sum, or weights of losses or gradients.
        optimizer: Recipe of the optimizer.
        schedule: Recipe of the learning-rate schedule, such as `WarmupPoly` or any of torch's. One that has an argument
            `total_steps` is told the number of optimizer steps and is stepped with each, others are stepped each epoch.
        encoder_lr: Learning rate of the encoder as a factor of the optimizer's.
        freeze_encoder_epochs: For so many first epochs the encoder does not change.
        l1: Weight of the sum of the absolute values of all parameters.
        compile: Compile the parts of the network, such as encoder, decoders and heads, with torch.compile.
    """

    def __init__(
        self,
        classes: Classes | dict[str, Any],
        alpha: float = 1.0,
        beta: float = 1.0,
        gamma: float = 0.0,
        semantic_head: Callable[[int, int], Head] | None = SemanticHead,
        region_head: Callable[[int], Head] | None = BoundaryHead,
        scene_head: Callable[[int, int], Head] = SceneHead,
        network: Callable[[dict[str, Callable[[int], Head]], Backbone], Network] = HardSharing,
        backbone: Backbone = Backbone(),  # noqa: B008 (frozen)
        balancer: Callable[[int], Balancer] = Sum,
        optimizer: Callable[[Any], Optimizer] = AdamW,
        schedule: Callable[[Optimizer], LRScheduler] | None = WarmupPoly,
        encoder_lr: float = 1.0,
        freeze_encoder_epochs: int = 0,
        l1: float = 0.0,
        compile: bool = False,
    ) -> None:
        recipe = {
            name: plain(value) for name, value in dict(locals()).items() if name not in ("self", "__class__")
        }
        classes = classes if isinstance(classes, Classes) else Classes(**classes)
        labelers = {"semantic": semantic_head, "region": region_head, "scene": scene_head if gamma else None}
        check_parts(labelers, encoder_lr, l1)
        heads = {task: sized(recipe, len(classes)) for task, recipe in labelers.items() if recipe}
        factors = {"semantic": alpha, "region": beta, "scene": gamma}
        tasks = loss_weights(**{task: factor if task in heads else None for task, factor in factors.items()})
        super().__init__(classes, tasks, network(heads, backbone), balancer(len(tasks)), l1)
        self.measures.single = getattr(self.network.heads["scene"], "single", False) if gamma else False
        # named as the command line does, so that Lightning's load_from_checkpoint rebuilds the recipes
        self.save_hyperparameters(
            {**recipe, "_instantiator": "lightning.pytorch.cli.instantiate_module"}, logger=False
        )
        self.optimizer, self.schedule, self.encoder_lr = optimizer, schedule, encoder_lr
        self.freeze_encoder_epochs = freeze_encoder_epochs
        self.unread: dict[str, Any] | None = None
        self.latest: dict[str, float] = {}
        self.to(memory_format=getattr(self.network.encoder, "layout", torch.channels_last))
        if compile:
            self.compile_parts()

    def compile_parts(self, backend: str = "inductor") -> None:
        """Compiles the network's parts one by one, so that the branching point between them stays as it is."""
        from torch._functorch import config

        config.donated_buffer = False  # or a graph could not be gone through for one task after the other
        for part in self.network.parts:
            part.compile(backend=backend)

    def log_losses(self) -> None:
        """Logs the mean losses since the last call: the only place where training waits for the device."""
        if not self.running.count:
            return
        self.latest = self.running.pop_means(self.global_step)
        self._tell({**self.latest, "train/lr": self.trainer.optimizers[0].param_groups[-1]["lr"]})

    def on_train_start(self) -> None:
        self.running = LossLog(self.tasks)
        self.running.logged = self.global_step
        if self.unread is not None:
            self.running.restore(self.unread, self.global_rank, self.device)
        self.unread = None
        self.hold_encoder(
            self.current_epoch < self.freeze_encoder_epochs
        )  # an epoch that goes on does not start

    def on_train_epoch_start(self) -> None:
        self.hold_encoder(self.current_epoch < self.freeze_encoder_epochs)

    def on_train_batch_start(self, batch: Sample, batch_idx: int) -> None:
        # here and not after a step, so that a checkpoint written there has what was not logged yet
        if self.running.count and self.running.due(self.global_step, self.trainer.log_every_n_steps):  # type: ignore[attr-defined]
            self.log_losses()
        self.place = (self.current_epoch, batch_idx)
        self.reseed_dropout()

    def on_train_batch_end(self, *_: Any) -> None:
        if self.trainer.is_last_batch or self.global_step == self.trainer.max_steps:
            self.log_losses()  # before the epoch's line is printed

    def on_validation_start(self) -> None:
        self.log_losses()

    def on_train_epoch_end(self) -> None:
        self.log_losses()
        self.balancer.epoch_ended()

    def hold_encoder(self, frozen: bool) -> None:
        """Keeps the encoder as it is, or lets it learn again."""
        encoder: Any = self.network.encoder
        encoder.frozen = frozen
        encoder.train(self.training)
        self.balance_at_branch(not frozen or "shared" in self.network.decoders)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        if getattr(self.network.encoder, "frozen", False):
            for parameter in self.network.encoder.parameters():
                parameter.grad = None  # a zero gradient would still decay weights and move momenta

    def setup(self, stage: str) -> None:
        hungry = [m for m in self.modules() if isinstance(m, Loss) and m.needs_counts]
        if stage == "fit" and hungry:
            count = getattr(getattr(self.trainer, "datamodule", None), "class_counts", None)
            if count is None:
                raise ValueError(
                    "expected a datamodule with class_counts() to balance by: give class weights instead"
                )
            counts = count()
            for loss in hungry:
                loss.balance(counts)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        # under a GradScaler a fused optimizer unscales by itself, which Lightning refuses together with clipping
        allowed = scaler is None or not self.trainer.gradient_clip_val
        optimizer = grouped(self.optimizer, self.network, self.network.encoder, self.encoder_lr, allowed)
        optimizer.register_step_post_hook(self.stepped)
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


def sized(head: Callable[..., Head], classes: int) -> Callable[[int], Head]:
    """A head's recipe from the number of channels alone, told the number of classes where it has such an argument."""
    if "num_classes" in inspect.signature(made(head)).parameters:
        return lambda channels: head(channels, classes)
    return head
