"""Trainings with losses in parts, held against the same with whole outputs."""

from collections.abc import Callable
from functools import partial
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor
from torch.optim import SGD

from fusionseg.balancing import FAMO, CAGrad, PCGrad, Sum
from fusionseg.config.lightning_messages import quiet
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.heads import SemanticHead
from fusionseg.losses import CrossEntropy, Lovasz
from fusionseg.module import FusionModule

Small = Callable[..., FusionModule]
Data = Callable[..., SegmentationDataModule]
Plan = Callable[..., pl.Trainer]

LARGE = 10_000
"""Less than the numbers of the semantic logits of two images (2, 6, 64, 64), more than those of boundaries."""

CLOSE = {"rtol": 0.0, "atol": 1e-6}
"""Balancers weigh gradients in float32: some 1e-6 of a step, whose largest numbers are about 1."""


@pytest.fixture
def fitted(small: Small, datamodule: Data, plan: Plan) -> Callable[..., Tensor]:
    """Trains for two steps in float64 and returns the parameters, without validation."""

    def fit(balancer: Any, compiled: bool = False) -> Tensor:
        torch.manual_seed(0)
        head = partial(SemanticHead, losses=[CrossEntropy, partial(CrossEntropy, hardest=0.3), Lovasz])
        descent = partial(SGD, lr=0.1)  # Adam's steps depend on the signs of gradients near 0
        module = small(semantic_head=head, balancer=balancer, optimizer=descent, schedule=None)
        if compiled:
            module.network.compile_parts("aot_eager")
        trainer = plan(precision="64-true", max_steps=2, limit_val_batches=0)
        with quiet():
            trainer.fit(module, datamodule=datamodule())
        return torch.cat([p.detach().flatten() for p in module.parameters()])

    return fit


@pytest.mark.parametrize("balancer", [Sum, CAGrad, partial(PCGrad, level="parameters"), FAMO])
def test_a_training_in_parts_is_that_with_whole_outputs(
    balancer: Any, fitted: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fitted(balancer)
    monkeypatch.setattr("fusionseg.losses.base.LARGE", LARGE)
    torch.testing.assert_close(fitted(balancer), whole, **CLOSE)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize("balancer", [CAGrad, partial(PCGrad, level="parameters")])
def test_a_compiled_network_is_trained_in_parts(
    balancer: Any, fitted: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fitted(balancer, compiled=True)
    monkeypatch.setattr("fusionseg.losses.base.LARGE", LARGE)
    torch.testing.assert_close(fitted(balancer, compiled=True), whole, **CLOSE)
