"""Steps of a training outside of `Trainer.fit`, with their peak memory and their number of operations."""

import gc
import os
import time
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.step import CLASSES, blocks
from fusionseg.config.lightning_messages import quiet
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Sample

RESNET = Backbone("resnet18")
"""The backbone of a model that names no other."""


class Setting(NamedTuple):
    """The batch and the precision of a step.

    Args:
        batch: The batch of every step, on its device.
        precision: The precision, by Lightning's name.
    """

    batch: Sample
    precision: str

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""
        return str(self.batch["image"].device.type)

    @property
    def clock(self) -> Callable[[], float]:
        """The clock: CPU time if there is one thread, since other processes affect it less."""
        alone = self.device == "cpu" and torch.get_num_threads() == 1
        return time.process_time if alone else time.perf_counter


class Training:
    """A training of a new model with the hooks of `Trainer.fit`; each call is a step.

    Args:
        setting: The batch and the precision.
        options: The arguments of the model.
        backward: Returns the backward pass of a model, a function of the loss.
    """

    def __init__(
        self,
        setting: Setting,
        options: Mapping[str, Any],
        backward: Callable[[FusionModule], Callable[[Tensor], None]] = attrgetter("backward"),
    ) -> None:
        self.batch = setting.batch
        extras = ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing")
        plan: dict[str, Any] = {
            "accelerator": setting.device,
            "devices": 1,
            "precision": setting.precision,
            **dict.fromkeys(extras, False),
        }
        torch.manual_seed(0)
        with quiet():
            self.trainer = pl.Trainer(**plan)
        self.module = (
            FusionModule(CLASSES, schedule=None, **{"backbone": RESNET, **options}).to(setting.device).train()
        )
        self.module.trainer = self.trainer
        self.module.network.arrange(setting.device, setting.precision)
        self.backward = backward(self.module)
        self.optimizer: Any = self.module.configure_optimizers()

    def __call__(self) -> None:
        """Makes one step."""
        self.module.on_train_batch_start(self.batch, 0)
        with self.trainer.precision_plugin.train_step_context():
            loss = self.module.training_step(self.batch, 0)
        self.module.optimizer_zero_grad(0, 0, self.optimizer)
        self.backward(loss)
        del loss
        self.module.on_before_optimizer_step(self.optimizer)
        self.optimizer.step()
        if self.module.device.type == "cuda":
            torch.cuda.synchronize()


def squares(size: tuple[int, int], number: int, device: str) -> Sample:
    """A batch of random images of a size (H, W), whose labels are random squares."""
    four = blocks(size)
    picked = [i % 4 for i in range(number)]
    maps: Sample = {name: four[name][picked].to(device) for name in ("image", "semantic", "region")}
    return {**maps, "name": [four["name"][i] for i in picked]}


def peak(call: Callable[[], object], device: str = "cpu") -> int:
    """The peak memory of a call in bytes, of all tensors that it allocates.

    All memory from torch's allocator counts, including workspaces of kernels; memory that was allocated
    before the call does not.
    """
    gc.collect()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return torch.cuda.max_memory_allocated() - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # otherwise it prints that there is no GPU
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watch:
        call()
    highest = 0
    held = 0
    for event in watch.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            highest = max(highest, held)
    return highest


def trained(recipe: Callable[[], Callable[[], None]]) -> None:
    """Makes two steps of a new training, so that the second one has the optimizer's state in memory."""
    step = recipe()
    step()
    step()


def operations(step: Callable[[], None]) -> int:
    """The number of multiply-adds of a call, in convolutions, matrix products and attention."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops() // 2)
