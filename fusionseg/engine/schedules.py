"""The learning rate schedule of a training: built from its recipe, stepped, and stretched in a longer run."""

import inspect
import math
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from lightning.pytorch.utilities.types import LRSchedulerConfig, LRSchedulerConfigType, OptimizerLRScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from fusionseg.config.errors import UsageError
from fusionseg.config.recipe import made
from fusionseg.engine.optimization import rates
from fusionseg.files.state_dicts import Checkpoint
from fusionseg.metrics.directions import higher_is_better, lower_is_better

Interval = Literal["step", "epoch"]


class Schedule:
    """When the schedule of a recipe is stepped, and how it goes on in a run that is resumed.

    A schedule that takes `total_steps` is given the number of optimizer steps and is stepped with each.
    `ReduceLROnPlateau` is stepped after each validation, before the checkpoints are written. Others are
    stepped each epoch.

    Args:
        recipe: Builds a schedule, given the optimizer and, if it takes it, `total_steps`; or null.
    """

    def __init__(self, recipe: Callable[[Optimizer], LRScheduler] | None) -> None:
        self.recipe = recipe
        self.total_steps: float = math.inf
        self.saved: Checkpoint = {}

    def configured(self, optimizer: Optimizer, total_steps: float) -> OptimizerLRScheduler:
        """The optimizer and its schedule, as Lightning takes them.

        Args:
            optimizer: The optimizer.
            total_steps: Number of optimizer steps of the training, or infinity.

        Raises:
            ValueError: As `scheduled`.
            UsageError: If the run is extended beyond a schedule that has ended at a rate of 0.
        """
        self.total_steps = total_steps
        if self.recipe is None:
            return optimizer
        schedule, interval = scheduled(self.recipe, optimizer, total_steps)
        if isinstance(schedule, ReduceLROnPlateau):
            check_direction(schedule)
        if self.saved.get("planned_steps", total_steps) != total_steps:
            self._extend(optimizer, schedule, interval)
        self.saved = {}
        # Lightning steps a plateau's schedule too late for the checkpoint of the epoch, so it never may
        every = sys.maxsize if isinstance(schedule, ReduceLROnPlateau) else 1
        plan: LRSchedulerConfigType = {
            "scheduler": schedule,
            "interval": interval,
            "frequency": every,
            "reduce_on_plateau": False,
        }
        return {"optimizer": optimizer, "lr_scheduler": plan}

    def resume(self, checkpoint: Checkpoint) -> None:
        """Remembers what a checkpoint has of the schedule, to be changed there if the run is extended."""
        groups = [state["param_groups"] for state in checkpoint.get("optimizer_states", [])]
        if len(groups) == len(checkpoint.get("lr_schedulers", [])) == 1 and "planned_steps" in checkpoint:
            self.saved = {
                "planned_steps": checkpoint["planned_steps"],
                "lr_schedulers": checkpoint["lr_schedulers"],
                "groups": groups[0],
            }

    def follow(self, plans: Iterable[LRSchedulerConfig], figures: Mapping[str, float]) -> None:
        """Steps what follows a validation figure: its own `monitor`, or else `val/loss`.

        Args:
            plans: The trainer's schedules; others than `ReduceLROnPlateau` are left alone.
            figures: What was measured, by names such as `val/miou`.

        Raises:
            UsageError: If its figure is not among them.
        """
        for schedule in (plan.scheduler for plan in plans):
            if not isinstance(schedule, ReduceLROnPlateau):
                continue
            monitor = monitored(schedule)
            if monitor not in figures:
                raise UsageError(
                    f"expected one of {', '.join(figures)}, found {monitor}", "model.schedule.monitor"
                )
            schedule.step(figures[monitor])

    def _extend(self, optimizer: Optimizer, schedule: LRScheduler, interval: Interval) -> None:
        """Changes the saved state to that which the schedule has by now in a training of the new length."""
        (state,), groups = self.saved["lr_schedulers"], self.saved["groups"]
        before = groups[-1]["lr"]
        if interval == "epoch" or getattr(self.recipe, "keywords", {}).get("total_steps"):
            if not any(group["lr"] for group in groups):
                raise UsageError(
                    f"{type(schedule).__name__} has ended at a rate of 0, so that further steps would change "
                    "nothing: start another run with --weights and a schedule of its own",
                    "model.schedule",
                )
            return
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
            for _ in range(state["last_epoch"]):
                schedule.step()
        self.saved["lr_schedulers"][0] = schedule.state_dict()
        for group, new in zip(groups, optimizer.param_groups, strict=True):
            group.update({key: value for key, value in new.items() if key != "params"})
        print(
            f"{type(schedule).__name__} goes on as one of {self.total_steps} steps instead of "
            f"{self.saved['planned_steps']}: the rate is {groups[-1]['lr']:.3g} now, and was {before:.3g}",
            file=sys.stderr,
        )


def monitored(schedule: ReduceLROnPlateau) -> str:
    """The figure that a schedule follows."""
    return str(getattr(schedule, "monitor", "val/loss"))


def check_direction(schedule: ReduceLROnPlateau) -> None:
    """Raises a UsageError if a schedule takes a figure for better where it is known to be worse."""
    figure = monitored(schedule)
    known = {"min": lower_is_better(figure), "max": higher_is_better(figure)}
    if known["max" if schedule.mode == "min" else "min"]:
        mode, better = ("min", "lower") if known["min"] else ("max", "higher")
        raise UsageError(
            f"expected {mode}, as {figure} is better where it is {better}, found {schedule.mode}: set it",
            "model.schedule.mode",
        )


def scheduled(
    recipe: Callable[..., LRScheduler], optimizer: Optimizer, total_steps: float
) -> tuple[LRScheduler, Interval]:
    """The recipe's learning rate schedule, and when it is stepped.

    Args:
        recipe: Builds a schedule, given the optimizer and, if it takes it, `total_steps`.
        optimizer: The optimizer.
        total_steps: Number of optimizer steps of the training, or infinity.

    Returns:
        The schedule, and `step` if it takes `total_steps`, otherwise `epoch`.

    Raises:
        ValueError: If the schedule needs the number of steps and the training has no end, if its own number
            is smaller than the training's, or if it sets the learning rates of the parameter groups itself,
            in another ratio.
    """
    name = made(recipe).__name__
    before = rates(optimizer)
    takes_steps = "total_steps" in inspect.signature(made(recipe)).parameters
    own = getattr(recipe, "keywords", {}).get("total_steps") if takes_steps else None
    if own and own < total_steps:
        raise ValueError(
            f"{name} ends after its total_steps of {own}, but the training has {total_steps}: leave them out"
        )
    if own or not takes_steps:
        schedule = recipe(optimizer)
    elif math.isinf(total_steps):
        raise ValueError(f"{name} needs the number of steps: set trainer.max_epochs, or its total_steps")
    else:
        schedule = recipe(optimizer, total_steps=int(total_steps))
    after = rates(optimizer)
    products = zip(before, after, strict=True)
    if not all(math.isclose(b * after[-1], before[-1] * a, rel_tol=1e-6) for b, a in products):
        raise ValueError(
            f"{name} sets the learning rates to {after}, but encoder_lr and layer_decay want the ratio of "
            f"{before}: give it a list of {len(before)} rates, the encoder's first"
        )
    return schedule, "step" if takes_steps else "epoch"
