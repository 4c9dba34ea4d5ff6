import math
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch.cli import ReduceLROnPlateau as OwnMonitor
from lightning.pytorch.utilities.types import LRSchedulerConfig
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LRScheduler,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    StepLR,
)

from fusionseg.config.errors import UsageError
from fusionseg.engine.optimization import WarmupPoly
from fusionseg.engine.schedules import Schedule, scheduled


def two_groups(encoder_lr: float = 1.0) -> SGD:
    encoder, head = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    return SGD([{"params": [encoder], "lr": 0.5 * encoder_lr}, {"params": [head]}], lr=0.5, momentum=0.9)


def rates(
    recipe: Callable[..., LRScheduler], steps: int, encoder_lr: float = 1.0
) -> tuple[list[list[float]], str]:
    optimizer = two_groups(encoder_lr)
    schedule, interval = scheduled(recipe, optimizer, steps)
    found = []
    for _ in range(steps):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return found, interval


@pytest.mark.parametrize(
    "recipe",
    [partial(StepLR, step_size=2), partial(CosineAnnealingLR, T_max=5), partial(PolynomialLR, total_iters=9)],
)
def test_schedules_without_total_steps_go_by_epochs(recipe: Callable[..., LRScheduler]) -> None:
    optimizer = SGD([nn.Parameter(torch.ones(1))], lr=0.5)
    _, interval = scheduled(recipe, optimizer, 100)
    assert interval == "epoch"


def test_one_cycle_is_stepped_by_steps_and_gets_their_number() -> None:
    optimizer = SGD([nn.Parameter(torch.ones(1))], lr=0.5, momentum=0.9)
    schedule, interval = scheduled(partial(OneCycleLR, max_lr=1.0), optimizer, 12)
    assert interval == "step"
    assert isinstance(schedule, OneCycleLR)
    assert schedule.total_steps == 12


def test_a_recipe_s_own_number_of_steps_is_kept() -> None:
    optimizer = SGD([nn.Parameter(torch.ones(1))], lr=0.5, momentum=0.9)
    schedule: Any = scheduled(partial(OneCycleLR, max_lr=1.0, total_steps=17), optimizer, 12)[0]
    assert schedule.total_steps == 17
    with pytest.raises(
        ValueError, match="OneCycleLR ends after its total_steps of 7, but the training has 12"
    ):
        scheduled(partial(OneCycleLR, max_lr=1.0, total_steps=7), optimizer, 12)


@pytest.mark.parametrize(("warmup", "power"), [(0.0, 1.0), (0.3, 0.9), (0.5, 2.0), (0.2, 0.0), (0.99, 0.9)])
@pytest.mark.parametrize("steps", [1, 2, 10, 37])
def test_warm_up_and_decay_follow_the_formula(warmup: float, power: float, steps: int) -> None:
    found, interval = rates(partial(WarmupPoly, warmup=warmup, power=power), steps)
    rise = min(round(warmup * steps), steps - 1)
    expected = []
    for step in range(steps):
        if step < rise:
            expected.append(0.5 * (step + 1) / rise)
        else:
            expected.append(0.5 * (1 - (step - rise) / (steps - rise)) ** power)
    assert found == [pytest.approx([rate] * 2) for rate in expected]
    assert interval == "step"
    assert max(expected) == 0.5


@pytest.mark.parametrize("recipe", [WarmupPoly, partial(StepLR, step_size=2, gamma=0.5)])
def test_schedules_keep_the_ratio_of_the_encoder_s_rate(recipe: Callable[..., LRScheduler]) -> None:
    found, _ = rates(recipe, 10, encoder_lr=0.1)
    assert [encoder for encoder, _ in found] == pytest.approx([0.1 * rest for _, rest in found])
    assert len({rest for _, rest in found}) > 3


def test_a_schedule_that_would_undo_the_encoder_s_rate_is_refused() -> None:
    one_cycle = partial(OneCycleLR, cycle_momentum=False)
    with pytest.raises(
        ValueError, match=r"OneCycleLR sets the learning rates to .* give it a list of 2 rates"
    ):
        rates(partial(one_cycle, max_lr=1.0), 10, encoder_lr=0.1)
    found, _ = rates(partial(one_cycle, max_lr=[0.1, 1.0]), 10, encoder_lr=0.1)
    assert [encoder for encoder, _ in found] == pytest.approx([0.1 * rest for _, rest in found])


def test_a_schedule_of_steps_needs_an_end() -> None:
    optimizer = SGD([nn.Parameter(torch.ones(1))], lr=0.5)
    with pytest.raises(ValueError, match=r"WarmupPoly needs the number of steps: set trainer.max_epochs"):
        scheduled(WarmupPoly, optimizer, math.inf)
    assert scheduled(partial(StepLR, step_size=1), optimizer, math.inf)[1] == "epoch"


FIGURES = {"val/loss": 2.0, "val/miou": 0.5}


@pytest.mark.parametrize(
    ("recipe", "best"),
    [
        (ReduceLROnPlateau, 2.0),
        (partial(OwnMonitor, monitor="val/miou", mode="max"), 0.5),
        (partial(StepLR, step_size=1), None),
    ],
)
def test_a_plateau_is_that_of_its_own_figure(recipe: Any, best: float | None) -> None:
    plan = Schedule(recipe)
    lightning: Any = plan.configured(two_groups(), 10)
    schedule = lightning["lr_scheduler"]["scheduler"]
    before = schedule.last_epoch
    plan.follow([LRSchedulerConfig(schedule)], FIGURES)
    assert getattr(schedule, "best", None) == best
    assert (schedule.last_epoch > before) == (best is not None)


def test_a_figure_that_is_not_measured_is_named_with_those_that_are() -> None:
    schedule = OwnMonitor(two_groups(), monitor="val/score")
    with pytest.raises(
        UsageError, match=r"model.schedule.monitor: expected one of val/loss, val/miou, found val/score"
    ):
        Schedule(None).follow([LRSchedulerConfig(schedule)], FIGURES)


def extended(recipe: Any, before: int, done: int, after: int) -> list[dict[str, float]]:
    """The groups at each step of a training of so many steps that becomes one of another number."""
    found: list[dict[str, float]] = []

    def steps(optimizer: SGD, schedule: Any, end: int) -> None:
        while len(found) < end:
            group = optimizer.param_groups[1]
            found.append({key: group[key] for key in ("lr", "momentum")})
            optimizer.step()
            schedule.step()

    optimizer = two_groups()
    first: Any = Schedule(recipe).configured(optimizer, before)
    schedule = first["lr_scheduler"]["scheduler"]
    steps(optimizer, schedule, done)
    checkpoint = {
        "planned_steps": before,
        "optimizer_states": [deepcopy(optimizer.state_dict())],
        "lr_schedulers": [deepcopy(schedule.state_dict())],
    }
    plan = Schedule(recipe)
    plan.resume(checkpoint)
    optimizer = two_groups()
    schedule = plan.configured(optimizer, after)["lr_scheduler"]["scheduler"]  # type: ignore[call-overload, index]
    optimizer.load_state_dict(checkpoint["optimizer_states"][0])
    schedule.load_state_dict(checkpoint["lr_schedulers"][0])
    steps(optimizer, schedule, after)
    return found


@pytest.mark.parametrize(
    "recipe", [WarmupPoly, partial(WarmupPoly, warmup=0.4), partial(OneCycleLR, max_lr=2.0)]
)
@pytest.mark.parametrize(("before", "done", "after"), [(6, 6, 12), (8, 3, 20), (20, 5, 8)])
def test_a_schedule_goes_on_as_if_its_new_length_had_been_planned(
    recipe: Any, before: int, done: int, after: int, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = extended(recipe, after, 0, after)
    assert capsys.readouterr().err == ""
    assert extended(recipe, before, done, after)[done:] == whole[done:]
    assert f"goes on as one of {after} steps instead of {before}: the rate is" in capsys.readouterr().err


def test_a_schedule_of_epochs_is_the_same_in_a_longer_run() -> None:
    recipe = partial(CosineAnnealingLR, T_max=30)
    assert extended(recipe, 6, 6, 12) == extended(recipe, 12, 0, 12)


@pytest.mark.parametrize(
    "recipe", [partial(PolynomialLR, total_iters=4), partial(WarmupPoly, total_steps=12)]
)
def test_steps_beyond_the_end_of_a_schedule_are_refused(recipe: Any) -> None:
    done = recipe.keywords.get("total_iters", 12)
    with pytest.raises(
        ValueError, match=r"model.schedule: \w+ has ended at a rate of 0|ends after its total_steps of 12"
    ):
        extended(recipe, done, done, 20)


@pytest.mark.parametrize(
    ("monitor", "mode", "message"),
    [
        ("val/miou", "min", "expected max, as val/miou is better where it is higher, found min"),
        ("val/voi", "max", "expected min, as val/voi is better where it is lower, found max"),
    ],
)
def test_a_plateau_that_takes_worse_for_better_is_refused(monitor: str, mode: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"model.schedule.mode: {message}"):
        Schedule(partial(OwnMonitor, monitor=monitor, mode=mode)).configured(two_groups(), 10)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_figure_of_one_s_own_may_go_either_way(mode: str) -> None:
    Schedule(partial(OwnMonitor, monitor="val/class_error", mode=mode)).configured(two_groups(), 10)
