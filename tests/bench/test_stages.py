from itertools import count
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionseg.bench.stages import StageClock, synchronize, watched

CPU = torch.device("cpu")


class Hand:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


class Model(nn.Module):
    """A model of so many forward passes, whose steps take known times."""

    def __init__(self, hand: Hand, passes: int = 1) -> None:
        super().__init__()
        self.hand = hand
        self.passes = passes

    def forward(self, image: Tensor) -> Tensor:
        self.hand.time += 5
        return F.interpolate(image, scale_factor=2)

    def predictions(self, batch: Any, size: tuple[int, int], extras: tuple[str, ...] = ()) -> Tensor:
        """The output at a size."""
        self.hand.time += 1
        for _ in range(self.passes):
            output: Tensor = self(batch["image"])
            self.hand.time += 2
        if "fail" in extras:
            raise RuntimeError("failed")
        cv2.resize(np.zeros((4, 4), np.uint8), (2, 2))
        return F.interpolate(output, size)


def ticking(function: Any, hand: Hand, seconds: float) -> Any:
    """A function that takes so long."""

    def call(*args: Any, **kwargs: Any) -> Any:
        hand.time += seconds
        return function(*args, **kwargs)

    return call


def test_a_stage_within_another_is_not_counted_twice() -> None:
    hand = Hand()
    clock = StageClock(CPU, hand)
    with clock.stage("outer"):
        hand.time += 1
        for _ in range(2):
            with clock.stage("inner"):
                hand.time += 10
        hand.time += 100
    with clock.stage("inner"):
        hand.time += 1000
    assert clock.seconds == {"outer": 101, "inner": 1020}


@pytest.mark.parametrize("passes", [1, 3])
def test_an_answer_is_taken_apart(passes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hand = Hand()
    monkeypatch.setattr(cv2, "resize", ticking(cv2.resize, hand, 30))
    clock = StageClock(CPU, hand)
    model = Model(hand, passes)
    batch = {"image": torch.rand(1, 1, 4, 4)}
    with watched(model, clock):
        assert model.predictions(batch, (6, 6)).shape == (1, 1, 6, 6)
        cv2.resize(np.zeros((4, 4), np.uint8), (2, 2))
    assert clock.seconds == {"network": 5 * passes, "decoding": 1 + 2 * passes, "resize": 60}


def test_interpolation_is_resizing_outside_of_the_network_only() -> None:
    readings = count()
    clock = StageClock(CPU, lambda: float(next(readings)))
    model = Model(Hand())
    with watched(model, clock):
        model.predictions({"image": torch.rand(1, 1, 4, 4)}, (6, 6))
    # each reading is one tick later: one for each of cv2.resize and interpolate after the network, which has its own
    assert clock.seconds["resize"] == 2
    assert clock.seconds["network"] == 1


def test_nothing_is_left_of_the_watch() -> None:
    model = Model(Hand())
    before = cv2.resize
    for extras in ((), ("fail",)):
        clock = StageClock(CPU, model.hand)
        try:
            with watched(model, clock):
                model.predictions({"image": torch.rand(1, 1, 4, 4)}, (6, 6), extras)
        except RuntimeError:
            assert extras
        assert cv2.resize is before
        assert "predictions" not in vars(model)
        assert not model._forward_hooks
        assert not model._forward_pre_hooks
        known = dict(clock.seconds)
        model.predictions({"image": torch.rand(1, 1, 4, 4)}, (6, 6))
        assert clock.seconds == known


def test_only_a_device_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    synchronize(CPU)
    assert not waited
    gpu = torch.device("cuda:1")
    synchronize(gpu)
    assert waited == [gpu]


def test_a_device_is_waited_for_at_both_ends_of_every_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    hand = Hand()
    pending = [0.0]

    def wait(_: torch.device) -> None:
        hand.time += pending[0]
        pending[0] = 0

    monkeypatch.setattr(torch.accelerator, "synchronize", wait)
    clock = StageClock(torch.device("cuda:0"), hand)
    pending[0] = 7  # of what came before the stage
    with clock.stage("network"):
        pending[0] = 3
    assert clock.seconds == {"network": 3}
