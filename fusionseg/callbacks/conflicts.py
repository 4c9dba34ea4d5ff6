"""Logs how far the gradients of the tasks conflict during training."""

import math
import sys
from itertools import combinations

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from fusionseg.callbacks.conflict_curves import conflict_curves
from fusionseg.callbacks.shared_maps import Pairs, SharedMaps, compiled
from fusionseg.files.images import write_png
from fusionseg.files.state_dicts import Checkpoint
from fusionseg.module import FusionModule
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.wandb_pictures import log_picture
from fusionseg.sample import Sample
from fusionseg.visualize.curves import Row


class Conflicts(Callback):
    """Compares the gradients of the tasks every so many steps, for any balancer and any network.

    The gradients are those of the losses times alpha, beta and gamma over the global batch, before any
    balancing. Training does not change by a bit. For each pair A, B of tasks it logs

    - `conflict/cosine_A_B` and `conflict/ratio_A_B`, the cosine of their gradients and the norm of A's over
      that of B's, at the branching point, where balancers of gradients compare them too;
    - the same with `_stageN` for the N-th output of the encoder, the image being the 0th, with all that lies
      behind it (the total derivative); several encoders count as one;
    - `conflict/rate_A_B` after each epoch, the share of its samples with a negative cosine at the branching
      point or, where there is none, at the deepest stage that both tasks read;

    and `conflict/weight_A`, the weight in force of A's loss or gradient. What cannot be compared is left out:
    a gradient of exactly zero (no labels), what overflowed, all stages of a frozen encoder but the last, and
    all stages of a compiled one. Under accumulation the first micro-batch of a step is looked at.
    `pictures/conflicts.png` in the run folder has the curves of the whole training.

    Args:
        every_n_steps: Samples are so many optimizer steps apart; each costs a backward pass for each task.

    Raises:
        ValueError: If a sample is wanted more often than each step, the module does not tell its losses task
            by task, or there is no place where gradients can be compared.
    """

    def __init__(self, every_n_steps: int = 50) -> None:
        if every_n_steps < 1:
            raise ValueError(f"expected every_n_steps of 1 or more, found {every_n_steps}")
        self.every_n_steps = every_n_steps
        self.history: list[Row] = []
        """The logged figures, one row for each sample."""
        self.shared_maps: SharedMaps | None = None
        self.sample: tuple[int, dict[str, Pairs], Tensor] | None = None
        """The step of a sample, and what its shared maps gave, until it is read."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        self.history = []
        network = _balanced(pl_module).network
        if network.branch is None and compiled(network.encoder):
            raise ValueError(
                f"{type(network).__name__} has no branching point, and Conflicts cannot look into a compiled "
                "encoder: set model.compile to false, or leave the callback out"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        tasks = _balanced(pl_module).tasks
        if len(tasks) == 1 and trainer.is_global_zero:
            print(f"Conflicts has nothing to compare: {tasks[0]} is the only task", file=sys.stderr)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Sample, batch_idx: int
    ) -> None:
        module = _balanced(pl_module)
        begins = batch_idx % trainer.accumulate_grad_batches == 0
        if begins and trainer.global_step % self.every_n_steps == 0 and len(module.tasks) > 1:
            self.shared_maps = SharedMaps(module.network)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        if self.shared_maps is not None:
            module = _balanced(pl_module)
            (scale,) = torch.autograd.grad(loss, module.current_step.loss, retain_graph=True)
            products = self.shared_maps.gramians(module.current_step.task_losses(), scale)
            self.sample = trainer.global_step, *products
            self._close()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        if self.sample is None:
            return
        step, places, products = self.sample
        self.sample = None
        tasks = _balanced(pl_module).tasks
        weights = _balanced(pl_module).balancer.weights
        values = torch.cat([products.flatten(), weights.to(products)]).cpu()  # the only wait for the device
        gramians = values[: products.numel()]
        weights = values[products.numel() :]
        figures: Row = {}
        for (place, pairs), gramian in zip(
            places.items(), gramians.view(products.shape).tolist(), strict=True
        ):
            for i, j in pairs:
                figures |= _compared(
                    gramian[i][i], gramian[i][j], gramian[j][j], f"{tasks[i]}_{tasks[j]}{place}"
                )
        named = {
            f"conflict/weight_{task}": weight for task, weight in zip(tasks, weights.tolist(), strict=True)
        }
        figures |= {name: weight for name, weight in named.items() if math.isfinite(weight)}
        self._log(trainer, step, figures)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        rows = [row for row in self.history if row["epoch"] == trainer.current_epoch]
        figures: Row = {}
        for pair in map("_".join, combinations(_balanced(pl_module).tasks, 2)):
            cosine = f"conflict/cosine_{pair}"
            # the first of a row is the one that is nearest to the heads
            found = [
                next((v for name, v in row.items() if name.split("_stage")[0] == cosine), None)
                for row in rows
            ]
            if signs := [value < 0 for value in found if value is not None]:
                figures[f"conflict/rate_{pair}"] = sum(signs) / len(signs)
        if figures:
            self._log(trainer, trainer.global_step, figures)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._draw(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._draw(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    def state_dict(self) -> Checkpoint:
        return {"history": self.history}

    def load_state_dict(self, state_dict: Checkpoint) -> None:
        self.history = state_dict["history"]

    def _log(self, trainer: Trainer, step: int, figures: Row) -> None:
        self.history.append({"step": step, "epoch": trainer.current_epoch, **figures})
        for logger in trainer.loggers:
            logger.log_metrics({**figures, "epoch": trainer.current_epoch}, step)

    def _draw(self, trainer: Trainer) -> None:
        if self.history and trainer.is_global_zero:
            picture = conflict_curves(self.history)
            write_png(RunFolder(trainer.default_root_dir).conflicts, picture)
            log_picture(trainer.loggers, "conflict/curves", picture, trainer.global_step)

    def _close(self) -> None:
        if self.shared_maps is not None:
            self.shared_maps.close()
            self.shared_maps = None


def _balanced(module: LightningModule) -> FusionModule:
    if not isinstance(module, FusionModule):
        raise ValueError(
            "expected a module that tells its losses task by task (FusionModule), found "
            f"{type(module).__name__}: leave the callback Conflicts out"
        )
    return module


def _compared(own: float, product: float, other: float, name: str) -> Row:
    """Cosine and ratio of norms of two gradients from their inner products; empty if one is 0 or infinite."""
    if not (0 < own < math.inf and 0 < other < math.inf):
        return {}
    p = math.sqrt(own)
    q = math.sqrt(other)
    return {f"conflict/cosine_{name}": min(max(product / p / q, -1.0), 1.0), f"conflict/ratio_{name}": p / q}
