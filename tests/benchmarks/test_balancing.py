from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks import balancing
from benchmarks.step import CLASSES
from benchmarks.torchjd_backward import TorchJDBackward
from benchmarks.training import Setting, Training, peak, squares, trained
from fusionseg.balancing import MGDA, Sum
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone

ENCODER = "tu-test_efficientnet"
SMALL = {"backbone": Backbone(ENCODER, options={"decoder_channels": [16, 16, 8, 8, 8]})}
NARROW = {"backbone": Backbone(ENCODER, decoder="DeepLabV3", options={"decoder_channels": 16})}


def model(name: str, **more: Any) -> FusionModule:
    torch.manual_seed(0)
    small = NARROW if "DeepLab" in name else SMALL
    # in eval mode, or dropout would differ between the two
    return FusionModule(CLASSES, beta=3.0, **{**balancing.MODELS[name], **small, **more}).double().eval()


def gradients(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad for name, p in module.named_parameters() if p.grad is not None}


@pytest.mark.slow
@pytest.mark.parametrize("name", balancing.MODELS)
def test_torchjds_gradient_is_ours_of_parameters(name: str) -> None:
    batch = squares((64, 64), 2, "cpu")
    ours = model(name, balancer=partial(MGDA, level="parameters", double=True))
    ours.backward(ours.training_step(batch, 0))
    for chunk, gramian in ((1, False), (1, True), (None, False), (None, True)):
        theirs = model(name)
        TorchJDBackward(theirs, True, chunk, gramian)(theirs.training_step(batch, 0))
        torch.testing.assert_close(gradients(theirs), gradients(ours), rtol=1e-6, atol=1e-10)
        assert all(p.grad.stride() == p.stride() for p in theirs.parameters() if p.grad is not None)


@pytest.mark.parametrize("chunk", [1, None])
def test_torchjds_gradient_from_the_losses_balances_all_parameters(chunk: int | None) -> None:
    batch, theirs = squares((64, 64), 2, "cpu"), model("U-Net, two decoders")
    TorchJDBackward(theirs, False, chunk, True)(theirs.training_step(batch, 0))
    alone = model("U-Net, two decoders")
    alone.training_step(batch, 0)
    named = {name: p for name, p in alone.named_parameters() if p.requires_grad}
    rows = [
        torch.autograd.grad(part, list(named.values()), retain_graph=True, materialize_grads=True)
        for part in alone.current_step.task_losses()
    ]
    a, b, c = (
        sum((p * q).sum() for p, q in zip(rows[i], rows[j], strict=True)) for i, j in ((0, 0), (0, 1), (1, 1))
    )
    # the shortest of (1 - w) g_0 + w g_1
    w = ((a - b) / (a - 2 * b + c)).clamp(0, 1)
    expected = {name: (1 - w) * p + w * q for name, p, q in zip(named, *rows, strict=True)}
    torch.testing.assert_close(gradients(theirs), expected, rtol=1e-6, atol=1e-10)


def test_every_balancer_is_in_one_table_of_each_of_its_levels() -> None:
    sample = balancing.Model("any", Setting(squares((64, 64), 2, "cpu"), "32-true"), {})
    found = {
        level: set(sample.balanced(level, [*balancing.BALANCERS]))
        for level in ("losses", "branch", "parameters")
    }
    assert found["branch"] == found["parameters"]
    assert found["losses"].isdisjoint(found["branch"])
    assert found["losses"] | found["branch"] == set(balancing.BALANCERS)
    assert {"UW", "MGDA"} <= set(balancing.BALANCERS)


def run(monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    monkeypatch.setattr(balancing, "MODELS", {"small": SMALL})
    sizes = (
        "--rounds",
        "2",
        "--size",
        "64",
        "64",
        "--batch",
        "2",
        "--models",
        "small",
        "--precisions",
        "32-true",
    )
    monkeypatch.setattr("sys.argv", ["balancing", *sizes, *more])
    balancing.main()


@pytest.mark.slow
def test_balancing_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(monkeypatch, "--only", "FAMO", "TorchJDWeighting", "--levels", "losses", "branch", "parameters")
    out = " ".join(capsys.readouterr().out.split())
    assert out.count("│ FAMO") == 1
    assert out.count("│ TorchJDWeighting") == 2
    assert out.count("(time <= 1.05, memory <= 1.1)") == 1


@pytest.mark.slow
def test_torchjd_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(monkeypatch, "--levels", "torchjd")
    out = " ".join(capsys.readouterr().out.split())
    assert "fails" not in out
    assert (
        out.count("│ backward") + out.count("│ mtl_backward") == 8 + 1
    )  # the fastest once more, against ours
    assert out.count("│ MGDA") == 1


@pytest.mark.slow
def test_failures_of_torchjd_are_reported_and_ours_are_raised(capsys: pytest.CaptureFixture[str]) -> None:
    sample = balancing.Model("small", Setting(squares((64, 64), 2, "cpu"), "32-true"), SMALL)

    def failing(_: FusionModule) -> Any:
        raise RuntimeError("expected BFloat16\nbut found Float")

    recipes: balancing.Recipes = {"odd": partial(Training, sample.setting, SMALL, failing)}
    assert balancing.compared(sample, "torchjd", recipes, 2) == {}
    assert "odd fails: expected BFloat16\n" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="BFloat16"):
        balancing.compared(sample, "parameters", recipes, 2)


@pytest.mark.slow
def test_no_graph_outlives_its_step() -> None:
    setting = Setting(squares((128, 128), 4, "cpu"), "32-true")
    balancers = {"sum": Sum, "branch": MGDA, "parameters": partial(MGDA, level="parameters")}
    recipes = {
        name: partial(Training, setting, {**SMALL, "balancer": balancer})
        for name, balancer in balancers.items()
    }
    peaks = {name: peak(partial(trained, recipe)) for name, recipe in recipes.items()}
    assert peaks["branch"] < 1.01 * peaks["sum"]
    assert (
        peaks["parameters"] < 1.1 * peaks["sum"]
    )  # the gradients of a second task; a graph would be half as much again
