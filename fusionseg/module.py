"""The LightningModule that trains several tasks with one weighted loss."""

from collections.abc import Callable, Collection
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler
from typing_extensions import override

from fusionseg.balancing import Balancer, Sum
from fusionseg.balancing.checks import check_weights
from fusionseg.config.recipe import record
from fusionseg.engine.batch_errors import of_batch
from fusionseg.engine.distillation import Distillation
from fusionseg.engine.evaluation import Evaluation, Scored, Truths
from fusionseg.engine.figure_log import log_figures, log_now
from fusionseg.engine.fine_tuning import BatchNorm, FineTuning
from fusionseg.engine.further_metrics import MetricRecipe, suite_with
from fusionseg.engine.hub_module import HubModule
from fusionseg.engine.loss_log import LossLog, check_finite
from fusionseg.engine.losses_again import losses_again
from fusionseg.engine.objective import Objective, Step, padded_terms
from fusionseg.engine.optimization import WarmupPoly, balance_losses
from fusionseg.engine.passes import WHOLE, Passes
from fusionseg.engine.penalty import Penalty
from fusionseg.engine.precision import arrange
from fusionseg.engine.predictions import frame_of, padded, predictions
from fusionseg.engine.schedules import Schedule
from fusionseg.engine.seeding import reseed
from fusionseg.engine.task_gradients import TaskGradients
from fusionseg.engine.tasks import planned
from fusionseg.engine.teacher import Teacher
from fusionseg.files.state_dicts import Checkpoint
from fusionseg.heads import BoundaryHead, ExtraHead, Head, SceneHead, SemanticHead
from fusionseg.networks import Backbone, HardSharing, Network
from fusionseg.networks.base import Outputs
from fusionseg.regularization import Regularizer
from fusionseg.sample import Classes, Prediction, Sample


class FusionModule(HubModule):
    """Semantic and region segmentation together: `L = alpha * L_semantic + beta * L_region`.

    Args:
        classes: What the data declares (`SegmentationDataModule.classes`); the command line fills it in.
        alpha: Weight of the semantic loss.
        beta: Weight of the region loss.
        gamma: Weight of the scene loss; without a weight there is no scene head.
        semantic_head: Recipe of the head that says which class a pixel is; null trains the regions alone.
        region_head: Recipe of the head that says which pixels belong together; null trains the classes alone.
        scene_head: Recipe of the head that says which classes the image shows.
        extra_heads: Further tasks by name, such as `depth: {head: DepthHead, weight: 0.5}`.
        metrics: Recipes of metrics beside those of the heads; `MTANDepthMetrics` is a paper's.
        network: Recipe of how the tasks share.
        backbone: Which encoder and decoder.
        balancer: Recipe of how the weighted losses become a gradient. Weighs nothing, losses or gradients.
        optimizer: Recipe of the optimizer.
        schedule: Recipe of the learning-rate schedule, such as `WarmupPoly` or any of torch's. With an
            argument `total_steps` it is stepped with each, or else with epochs (plateaus: validations).
        encoder_lr: The encoder's learning rate, times the optimizer's.
        layer_decay: Factor of the rate for each earlier encoder stage.
        freeze_encoder_epochs: For so many first epochs the encoder does not change.
        batch_norm: What the encoder's batch norms use in training: statistics of each batch, those at the
            start, or those of the training images.
        l1: Weight of an L1 penalty on all trainable parameters.
        regularizer: Recipe of a further penalty on the weights, such as `L2SP`.
        teacher: A trained model to learn from, or its own mean.
        thing_area: Things of fewer pixels are void in panoptic maps.
        stuff_area: The same for stuff; 4096 on COCO and 2048 on Cityscapes are common.
        compile: Compile the network's parts with torch.compile.

    Raises:
        ValueError: If there is no head, a weight is negative or not finite, or the balancer does not fit.
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
        extra_heads: dict[str, ExtraHead] | None = None,
        metrics: list[MetricRecipe] = [],  # noqa: B006 (never changed)
        network: Callable[[dict[str, Callable[[int], Head]], Backbone], Network] = HardSharing,
        backbone: Backbone = Backbone(),  # noqa: B008 (frozen)
        balancer: Callable[[int], Balancer] = Sum,
        optimizer: Callable[[Any], Optimizer] = AdamW,
        schedule: Callable[[Optimizer], LRScheduler] | None = WarmupPoly,
        encoder_lr: float = 1.0,
        layer_decay: float = 1.0,
        freeze_encoder_epochs: int = 0,
        batch_norm: BatchNorm = "train",
        l1: float = 0.0,
        regularizer: Callable[[], Regularizer] | None = None,
        teacher: Teacher | None = None,
        thing_area: int = 0,
        stuff_area: int = 0,
        compile: bool = False,
    ) -> None:
        super().__init__()
        record(self, locals())
        self.classes = classes if isinstance(classes, Classes) else Classes(**classes)
        recipes = {"semantic": semantic_head, "region": region_head, "scene": scene_head if gamma else None}
        weights = {"semantic": alpha, "region": beta, "scene": gamma}
        heads, weights = planned(recipes, weights, extra_heads or {}, len(self.classes))
        self.network = network(heads, backbone)
        learning = (encoder_lr, layer_decay, freeze_encoder_epochs, batch_norm)
        self.fine_tuning = FineTuning(self.network, *learning)
        self.balancer = balancer(len(weights))
        check_weights(self.balancer)
        self.suite = suite_with(metrics, self.heads, weights, self.classes)
        penalty = Penalty(self.network, l1, regularizer)
        self.distillation = Distillation(self.network, teacher)
        self.objective = Objective(self.network, self.balancer, weights, penalty, self.distillation)
        self.task_gradients = TaskGradients(self.network, self.balancer, self.objective)
        self.evaluation = Evaluation(self.suite, weights)
        self.loss_log = LossLog(self.tasks)
        self.optimizer = optimizer
        self.schedule = Schedule(schedule)
        self.areas = (thing_area, stuff_area)
        if compile:
            self.network.compile_parts()

    @property
    def current_step(self) -> Step:
        """The state of the last training step."""
        return self.objective.current

    @property
    def tasks(self) -> list[str]:
        """The tasks that are trained, in the order in which losses are listed."""
        return self.objective.tasks

    @property
    def heads(self) -> dict[str, Head]:
        """The head of each task."""
        return dict(self.network.heads.items())  # type: ignore[arg-type]

    @property
    def notice(self) -> str:
        """Lines on what settings make of each other; empty if there are none."""
        return "\n".join(filter(None, (self.objective.notice, self.fine_tuning.notice)))

    @override
    def forward(self, image: Tensor) -> list[Outputs]:
        """The outputs of the heads for each refinement, of images (B, C, H, W) with sides divisible by 32."""
        return self.network(image)  # type: ignore[no-any-return]

    @torch.no_grad()
    def predictions(
        self, batch: Sample, size: tuple[int, int], extras: Collection[str] = (), passes: Passes = WHOLE
    ) -> list[Prediction]:
        """The predictions for a batch at the size of its label files (H, W); see `engine.predictions`."""
        outputs = passes.outputs(self, self.heads, batch["image"])
        frame = frame_of(batch, size)
        return predictions(outputs, self.heads, frame, batch["name"], self.classes, self.areas, extras)

    @override
    def setup(self, stage: str) -> None:
        arrange(self, str(self.trainer.precision))

    @override
    def on_fit_start(self) -> None:
        if not (goes_on := bool(self.trainer.ckpt_path)):  # a checkpoint has the class weights
            balance_losses(self, getattr(self.trainer, "datamodule", None))
        self.distillation.begin(self.device, str(self.trainer.precision), goes_on)
        self.objective.penalty.begin(goes_on, self.trainer.optimizers)

    @override
    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = self.fine_tuning.optimizer(self.optimizer, self.trainer)
        optimizer.register_step_post_hook(self._stepped)
        return self.schedule.configured(optimizer, self.trainer.estimated_stepping_batches)

    @override
    def on_train_start(self) -> None:
        self.loss_log.start(self.global_step, self.global_rank, self.device)
        if not self.trainer.ckpt_path:
            self.fine_tuning.begin(self.trainer)
        self._begin_epoch()  # an epoch that is resumed does not start

    @override
    def on_train_epoch_start(self) -> None:
        self._begin_epoch()

    @override
    def on_train_batch_start(self, batch: Sample, batch_idx: int) -> None:
        # here and not after a step, so that a checkpoint written there has what was not logged yet
        every = self.trainer.log_every_n_steps if self.loss_log.count else 0  # type: ignore[attr-defined]
        if self.loss_log.due(self.global_step, every):
            self.log_losses()
        reseed(self.device, self.current_epoch, batch_idx, self.global_rank)

    @override
    @of_batch
    def training_step(self, batch: Sample, batch_idx: int) -> Tensor:
        self.distillation.advance(self.global_step)
        step = self.objective.step(self(batch["image"]), batch, (self.current_epoch, batch_idx))
        self.loss_log.add(step.total, step.losses, self.global_step, batch["name"])
        return step.loss

    @override
    def backward(self, loss: Tensor, *args: object, **kwargs: object) -> None:
        self.task_gradients.measure_scale(loss, self.current_step)
        if self.task_gradients.by_task:
            self.task_gradients.backward(self.current_step)
        else:
            super().backward(loss, *args, **kwargs)

    @override
    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        self.network.drop_frozen_gradients()

    @override
    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        super().optimizer_zero_grad(epoch, batch_idx, optimizer)
        self.balancer.begin()

    @override
    def on_train_batch_end(self, *_: object) -> None:
        if self.trainer.is_last_batch or self.global_step == self.trainer.max_steps:
            self.log_losses()  # before the epoch's line is printed

    @override
    def on_train_epoch_end(self) -> None:
        self.log_losses()
        self.balancer.epoch_ended()

    @override
    def on_validation_start(self) -> None:
        self.log_losses()
        self.evaluation.begin()

    @override
    def on_test_epoch_start(self) -> None:
        self.evaluation.begin()

    @override
    def validation_step(self, batch: Sample, batch_idx: int) -> Any:
        return self._evaluate(batch, self.trainer.val_dataloaders)

    @override
    def test_step(self, batch: Sample, batch_idx: int) -> Any:
        return self._evaluate(batch, self.trainer.test_dataloaders)

    @override
    def on_validation_epoch_end(self) -> None:
        log_figures(self, "val", self.evaluation.figures())

    @override
    def on_test_epoch_end(self) -> None:
        log_figures(self, "test", self.evaluation.figures())

    @override
    def on_save_checkpoint(self, checkpoint: Checkpoint) -> None:
        checkpoint["losses"] = self.loss_log.state()
        checkpoint["distillation"] = self.distillation.state()
        checkpoint["regularizers"] = self.objective.penalty.state()
        checkpoint["planned_steps"] = self.schedule.total_steps
        check_finite(checkpoint["state_dict"], self.global_step)
        checkpoint["hyper_parameters"] |= self.recorded()

    @override
    def on_load_checkpoint(self, checkpoint: Checkpoint) -> None:
        super().on_load_checkpoint(checkpoint)
        self.loss_log.resume(checkpoint.get("losses"))
        self.distillation.resume(checkpoint.get("distillation", {}))
        self.objective.penalty.resume(checkpoint)
        self.schedule.resume(checkpoint)

    def log_losses(self) -> None:
        """Logs the mean losses since the last call: the only place where training waits for the device."""
        if self.loss_log.count:
            rates = self.fine_tuning.rates(self.trainer.optimizers[0])
            log_now(self, {**self.loss_log.pop_means(self.global_step), **rates})

    @of_batch
    def _evaluate(self, batch: Sample, loader: Any) -> list[Scored]:
        truths = Truths(batch, loader.dataset)
        extended = padded(batch)
        refinements = self(extended["image"])
        self.evaluation.add_losses(torch.stack(padded_terms(self.objective.terms(refinements, extended))))
        options = (frame_of(batch, truths.size), batch["name"], self.classes, self.areas, self.suite.answers)
        found = predictions(refinements[-1], self.heads, *options)
        return self.evaluation.score(found, truths)

    def _begin_epoch(self) -> None:
        learns = self.fine_tuning.begin_epoch(self.current_epoch)
        self.task_gradients.balance_at_branch(learns)

    def _stepped(self, optimizer: Optimizer, *_: object) -> None:
        """Informs the balancer of an optimizer step, or that the gradient scaler skipped it."""
        again = losses_again(self, self.objective) if self.balancer.looks_again else None
        self.balancer.stepped(getattr(optimizer, "found_inf", None), again)
