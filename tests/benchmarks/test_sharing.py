from collections.abc import Callable
from functools import partial
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from benchmarks import sharing
from benchmarks.step import CLASSES
from benchmarks.training import Setting, Training, operations, peak, squares
from fusionseg.balancing import FAMO, MGDA, Balancer, Sum
from fusionseg.config.lightning_messages import quiet
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone

TINY = {"backbone": Backbone("tu-test_efficientnet", options={"decoder_channels": [16, 16, 8, 8, 8]})}
KIB = 1024
Plan = Callable[..., pl.Trainer]


def floats(kib: int) -> torch.Tensor:
    return torch.ones(kib * KIB // 4)


@pytest.mark.slow
def test_the_peak_is_what_is_held_at_a_time() -> None:
    def call() -> None:
        first, second = floats(300), floats(200)
        del first
        third = floats(250)
        del second, third
        floats(400)

    assert peak(call) == 500 * KIB


def test_what_was_there_before_does_not_count() -> None:
    held = [floats(1000)]

    def call() -> None:
        held.clear()
        floats(100)

    assert peak(call) == 100 * KIB


@pytest.mark.slow
def test_the_peak_of_a_backward_pass_is_that_of_what_it_saved() -> None:
    """A chain of exponentials saves its outputs; the peak has all of them and two gradients."""
    start, layers = floats(64).requires_grad_(), 4

    def call() -> None:
        out = start
        for _ in range(layers):
            out = out.exp()
        out.backward(torch.ones(()).expand_as(out))

    # the ones are expanded from a single number
    assert peak(call) - (layers + 2) * 64 * KIB in range(64)


@pytest.mark.slow
def test_what_a_kernel_needs_for_itself_counts() -> None:
    values = floats(64).flip(0)

    def call() -> None:
        values.median()  # copies its input, to put it into order

    assert peak(call) >= 64 * KIB


def test_multiply_adds_are_those_of_the_formula() -> None:
    layer, image = nn.Conv2d(3, 4, 3, padding=1), torch.randn(2, 3, 8, 10)
    forward = 2 * 8 * 10 * 4 * 3 * 9
    assert operations(lambda: layer(image)) == forward
    # the image needs no gradient, the weights do
    assert operations(lambda: layer(image).sum().backward()) == 2 * forward


@pytest.mark.filterwarnings("ignore:You defined a .validation_step.:UserWarning")
@pytest.mark.parametrize("balancer", [Sum, FAMO, partial(MGDA, level="parameters"), MGDA])
def test_a_step_by_hand_is_that_of_a_fit(balancer: Callable[[int], Balancer], plan: Plan) -> None:
    batch = squares((64, 64), 2, "cpu")
    training = Training(Setting(batch, "32-true"), {**TINY, "balancer": balancer})
    torch.manual_seed(0)
    fitted = FusionModule(CLASSES, schedule=None, **TINY, balancer=balancer)
    training()
    with quiet():
        plan(max_steps=1).fit(fitted, train_dataloaders=DataLoader([batch], batch_size=None))
    for name, value in fitted.state_dict().items():
        assert torch.equal(training.module.state_dict()[name], value), name


def test_batches_have_the_size_asked_for() -> None:
    batch = squares((64, 96), 6, "cpu")
    assert batch["image"].shape == (6, 3, 64, 96)
    assert len(batch["name"]) == len(batch["region"]) == 6


def run(monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    monkeypatch.setattr("sys.argv", ["sharing", "--rounds", "2", "--size", "64", "64", "--batch", "2", *more])
    sharing.main()


@pytest.mark.slow
def test_sharing_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(monkeypatch, "--only", "PADNet", "--precision", "32-true")
    out = capsys.readouterr().out
    assert "PADNet" in out
    assert f"multiply-adds as a ratio: {sharing.ONE} 0.5" in out
    assert f"{sharing.TWO} 0.78" in out


@pytest.mark.slow
def test_a_network_that_refuses_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    setting = Setting(squares((64, 64), 2, "cpu"), "32-true")

    def refusing() -> Any:
        raise ValueError("no such encoder")

    small = partial(Training, setting, TINY)
    costs = sharing.compared(setting, {sharing.ONE: small, "Odd": refusing, "same": small}, 2)
    assert list(costs) == [sharing.ONE, "same"]
    assert costs["same"][1:] == pytest.approx((1, 1, 1), rel=1e-3)
    assert "Odd refuses: no such encoder" in capsys.readouterr().out
