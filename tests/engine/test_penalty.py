"""R in a training: what it starts from, what it adds to the gradients, and how it goes on."""

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lightning.pytorch as pl
import pytest
import torch
from safetensors.torch import save_file
from torch.optim import SGD

from fusionseg.balancing import MGDA, UW, CAGrad
from fusionseg.config.errors import UsageError
from fusionseg.config.lightning_messages import quiet
from fusionseg.module import FusionModule
from fusionseg.networks.pretrained import load_whole, pretrained_parameters
from fusionseg.regularization import L1, L2SP, Regularizer

Data = Callable[..., Any]
Plan = Callable[..., pl.Trainer]
Small = Callable[..., FusionModule]
Scenes = Callable[..., Any]


@pytest.fixture
def started(small: Small, tmp_path: Path) -> Callable[..., FusionModule]:
    """Models whose encoder starts from a file."""
    encoder = {k: v for k, v in small().state_dict().items() if ".encoder." in k}
    save_file(encoder, tmp_path / "encoder.safetensors")

    def model(**options: Any) -> FusionModule:
        made = small(**{"optimizer": partial(SGD, lr=0.05, momentum=0.9), **options})
        load_whole(made, tmp_path / "encoder.safetensors")
        return made

    return model


def test_what_was_loaded_counts_as_pretrained_and_nothing_else(
    started: Callable[..., FusionModule],
) -> None:
    network = started().network
    expected = {f"encoder.{name}" for name, _ in network.encoder.named_parameters()}
    assert pretrained_parameters(network) == expected
    assert pretrained_parameters(copy.deepcopy(network).double()) == expected


def gradients(model: FusionModule, batch: Any) -> dict[str, torch.Tensor]:
    """The gradients of a step as the module takes it, by the names of the parameters."""
    model.zero_grad()
    loss = model.training_step(batch, 0)
    model.balancer.begin()
    model.backward(loss)
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in model.named_parameters()
    }


@pytest.mark.parametrize(
    "balancer", [UW, MGDA, partial(CAGrad, level="parameters")], ids=["loss", "branch", "parameters"]
)
def test_no_balancer_weighs_the_penalty(
    balancer: Any, started: Callable[..., FusionModule], scenes: Scenes
) -> None:
    batch = scenes(2, (64, 64))
    plain = started(balancer=balancer).eval()
    bound = started(balancer=balancer, regularizer=partial(L2SP, alpha=0.5, beta=0.1)).eval()
    bound.load_state_dict(plain.state_dict())
    bound.objective.penalty.begin(goes_on=False)
    start = {name: p.detach().clone() for name, p in plain.named_parameters()}
    with torch.no_grad():
        for model in (plain, bound):
            for parameter in model.parameters():
                parameter.mul_(1.01)
    first, second = gradients(plain, batch), gradients(bound, batch)
    for name, parameter in plain.named_parameters():
        pull = torch.zeros_like(parameter)
        if parameter.ndim > 1 and parameter.requires_grad:
            known = ".encoder." in name
            pull = 0.5 * (parameter - start[name]) if known else 0.1 * parameter
        torch.testing.assert_close(second[name] - first[name], pull.detach(), rtol=1e-3, atol=2e-5)


def test_a_checkpoint_from_before_there_were_regularizers_goes_on(small: Small) -> None:
    penalty = small(l1=1e-3).objective.penalty
    penalty.resume({})
    penalty.begin(goes_on=True)
    assert penalty() is not None


@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_weight_decay_beside_the_distance_to_the_start_is_told(
    decay: float, started: Callable[..., FusionModule], datamodule: Data, plan: Plan
) -> None:
    model = started(regularizer=L2SP, optimizer=partial(SGD, lr=0.01, weight_decay=decay))
    with quiet():
        plan(max_steps=1, limit_val_batches=0).fit(model, datamodule=datamodule())
    told = "L2SP takes the place of weight decay, but SGD also draws weights to 0: set model.optimizer.weight"
    assert model.notice.startswith(told if decay else "")
    assert bool(model.notice) == bool(decay)


def test_a_checkpoint_of_another_penalty_is_refused(
    started: Callable[..., FusionModule], datamodule: Data, plan: Plan, tmp_path: Path
) -> None:
    trainer = plan(max_steps=1, limit_val_batches=0)
    with quiet():
        trainer.fit(started(), datamodule=datamodule())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    with quiet(), pytest.raises(UsageError, match=r"regularizer: 0 in the checkpoint, 1 here: a run goes on"):
        plan(max_steps=2).fit(
            started(regularizer=L1),
            datamodule=datamodule(),
            ckpt_path=tmp_path / "last.ckpt",
            weights_only=True,
        )


class Cut(torch.autograd.Function):
    """A sum without a gradient, although it is in the graph."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        return values.sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return None


class Summed(Regularizer):
    """Has an expanded gradient, which cannot be written to, and one that is missing."""

    def __call__(self, network: Any) -> torch.Tensor:
        layer = network.heads["semantic"].layers[1]
        cut: Any = Cut.apply(layer.weight)  # type: ignore[no-untyped-call]
        return 0.1 * layer.bias.sum() + cut  # type: ignore[no-any-return]


@pytest.mark.parametrize("ranks", [1, 2])
def test_gradients_of_a_penalty_may_be_expanded_or_missing(ranks: int, small: Small, scenes: Scenes) -> None:
    batch = scenes(2, (64, 64))
    balancer = partial(CAGrad, level="parameters")
    plain, bound = small(balancer=balancer).eval(), small(balancer=balancer, regularizer=Summed).eval()
    bound.load_state_dict(plain.state_dict())
    with (
        patch("fusionseg.engine.task_gradients.world_size", lambda: ranks),
        patch("torch.distributed.all_reduce", lambda values: values.mul_(ranks)),
    ):
        first, second = gradients(plain, batch), gradients(bound, batch)
    for name, before in first.items():
        pull = 0.1 if name == "network.heads.semantic.layers.1.bias" else 0.0
        torch.testing.assert_close(second[name], before + pull)
