from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RAdam, RMSprop

from fusionseg.config.errors import UsageError
from fusionseg.engine import optimization
from fusionseg.engine.optimization import WarmupPoly, balance_losses, configured, fused
from fusionseg.losses import CrossEntropy

OPTIMIZERS = [
    SGD,
    partial(SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
    Adagrad,
    partial(RMSprop, lr=0.01, momentum=0.9),
    Adam,
    partial(AdamW, lr=0.01, weight_decay=0.1),
    NAdam,
    RAdam,
    partial(Adam, amsgrad=True),
]


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = nn.Linear(3, 4), nn.Linear(4, 2)
        self.head.bias.requires_grad_(False)


def stepped(network: Two, optimizer: Optimizer) -> None:
    optimizer.zero_grad()
    network.head(network.encoder(torch.ones(5, 3))).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("recipe", OPTIMIZERS)
def test_any_optimizer_of_torch_moves_all_that_is_trained(recipe: Callable[..., Optimizer]) -> None:
    network = Two()
    before = {name: p.clone() for name, p in network.named_parameters()}
    stepped(network, configured(recipe, network, 0.5))
    still = {name for name, p in network.named_parameters() if torch.equal(p, before[name])}
    assert still == {"head.bias"}


@pytest.mark.parametrize("recipe", [SGD, Adagrad, Adam, AdamW])
def test_the_fused_form_is_chosen_where_there_is_one(recipe: Callable[..., Optimizer]) -> None:
    parameters = [nn.Parameter(torch.ones(2))]
    assert fused(recipe, parameters, allowed=True).defaults["fused"]
    assert fused(partial(recipe, lr=0.1), parameters, allowed=True).defaults["fused"]
    assert not fused(recipe, parameters, allowed=False).defaults["fused"]
    for choice in ({"fused": False}, {"foreach": True}, {"differentiable": True}):
        assert not fused(partial(recipe, **choice), parameters, allowed=True).defaults["fused"]
    assert fused(partial(recipe, fused=True), parameters, allowed=True).defaults["fused"]
    with pytest.raises(UsageError, match=r"model.optimizer.fused: found true, but gradients cannot be clip"):
        fused(partial(recipe, fused=True), parameters, allowed=False)


class Kernel(nn.Module):
    """A network of one convolution that lies in memory in one of two ways."""

    def __init__(self, layout: torch.memory_format) -> None:
        super().__init__()
        self.encoder, self.head = nn.Conv2d(3, 4, 3).double(), nn.Identity()
        self.to(memory_format=layout)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "recipe", [partial(SGD, lr=0.1, momentum=0.9), Adagrad, partial(AdamW, amsgrad=True)]
)
def test_the_state_of_another_memory_format_is_continued(recipe: Callable[..., Optimizer]) -> None:
    image = torch.rand(2, 3, 8, 8).double()
    one, other = Kernel(torch.channels_last), Kernel(torch.contiguous_format)
    first: Any
    second: Any
    first, second = (configured(recipe, network, 1.0) for network in (one, other))  # type: ignore[arg-type]

    def step(network: Kernel, optimizer: Optimizer) -> None:
        optimizer.zero_grad()
        network.encoder(image).square().mean().backward()
        optimizer.step()

    step(one, first)
    other.load_state_dict(one.state_dict())
    second.load_state_dict(deepcopy(first.state_dict()))
    for _ in range(2):
        step(one, first)
        step(other, second)
    torch.testing.assert_close(other.encoder.weight, one.encoder.weight)


@pytest.mark.parametrize("recipe", [RMSprop, NAdam, RAdam])
def test_an_optimizer_without_fused_form_is_left_as_it_is(recipe: type[Optimizer]) -> None:
    assert "fused" not in fused(recipe, [nn.Parameter(torch.ones(2))], allowed=True).defaults


@pytest.mark.parametrize("recipe", [SGD, AdamW])
def test_the_fused_form_takes_the_same_steps(recipe: Callable[..., Optimizer]) -> None:
    torch.manual_seed(1)
    networks = Two(), Two()
    networks[1].load_state_dict(networks[0].state_dict())
    optimizers = [
        configured(partial(recipe, lr=0.1, fused=choice), network, 0.3)
        for network, choice in zip(networks, (None, False), strict=True)
    ]
    for _ in range(3):
        for network, optimizer in zip(networks, optimizers, strict=True):
            stepped(network, optimizer)
    for a, b in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_the_encoder_s_rate_is_scaled_and_no_other() -> None:
    network = Two()
    optimizer = configured(partial(SGD, lr=0.4), network, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.4]
    groups = [{id(p) for p in group["params"]} for group in optimizer.param_groups]
    assert groups == [{id(p) for p in network.encoder.parameters()}, {id(network.head.weight)}]


@pytest.mark.parametrize("recipe", OPTIMIZERS)
def test_an_encoder_may_join_after_some_steps(recipe: Callable[..., Optimizer]) -> None:
    network = Two()
    optimizer = configured(recipe, network, 1.0)
    before = network.encoder.weight.clone()
    for held in (True, True, False, False):
        optimizer.zero_grad()
        network.head(network.encoder(torch.ones(5, 3))).square().mean().backward()
        if held:
            network.encoder.weight.grad = network.encoder.bias.grad = None
        optimizer.step()
        assert torch.equal(network.encoder.weight, before) == held


def test_decay_ends_at_zero_and_stays_there() -> None:
    optimizer = SGD([nn.Parameter(torch.ones(1))], lr=0.5)
    schedule = WarmupPoly(optimizer, total_steps=4)
    for _ in range(6):
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "found total_steps=None"),
        ({"total_steps": 0}, "total_steps=0"),
        ({"total_steps": 5, "warmup": 1.0}, "1.0"),
    ],
)
def test_an_impossible_warm_up_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WarmupPoly(SGD([nn.Parameter(torch.ones(1))], lr=0.5), **arguments)


def test_the_first_rank_counts_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    class Uncounted:
        """Data of another rank than the first."""

        def class_counts(self) -> torch.Tensor:
            raise AssertionError("counted")

    received = torch.tensor([3, 1, 0])
    monkeypatch.setattr(optimization, "from_first_rank", lambda _: received)
    loss = CrossEntropy(class_weights="balanced")
    balance_losses(nn.ModuleList([loss]), Uncounted())
    assert loss.weight is not None
    assert loss.weight[:3].tolist() == pytest.approx([2 / 3, 2, 0])
