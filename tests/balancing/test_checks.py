from typing import Any

import pytest
import torch
from torch import Tensor

from fusionseg import balancing
from fusionseg.balancing import RLW, Balancer, GradientBalancer, GradVac
from fusionseg.balancing.checks import check_weights


class Losses(Balancer):
    """A balancer of losses with given weights."""

    found: Any = (1.0, 1.0)

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        return torch.tensor(self.found)


class Gradients(GradientBalancer):
    """A balancer of gradients with given weights."""

    found: Any = (1.0, 1.0)

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        return torch.tensor(self.found)


@pytest.mark.parametrize("found", [[1.0, torch.nan], [torch.inf, 0.0], [1.0], [[1.0, 1.0]]])
@pytest.mark.parametrize("kind", [Losses, Gradients])
def test_weights_that_cannot_be_are_refused_by_the_name_of_their_balancer(kind: Any, found: Any) -> None:
    balancer = kind(2)
    check_weights(balancer)
    balancer.found = found
    with pytest.raises(
        ValueError, match=rf"expected 2 finite weights.*_weights of {kind.__name__}, found .*: mend it"
    ):
        check_weights(balancer)


def test_a_loss_must_not_be_made_larger_and_a_gradient_may_be_turned_around() -> None:
    losses, gradients = Losses(2), Gradients(2)
    losses.found = gradients.found = [1.0, -0.5]
    with pytest.raises(ValueError, match=r"0 or more from loss_weights of Losses, found \[1.0, -0.5\]"):
        check_weights(losses)
    check_weights(gradients)


@pytest.mark.parametrize("tasks", [1, 2, 3, 5])
def test_all_of_ours_are_let_through(tasks: int) -> None:
    kinds = [getattr(balancing, name) for name in balancing.__all__]
    for kind in kinds:
        if kind not in (Balancer, GradientBalancer, balancing.TorchJDWeighting):
            check_weights(kind(tasks))


def test_a_trial_leaves_no_trace() -> None:
    torch.manual_seed(0)
    state, drawing, remembering = torch.get_rng_state(), RLW(2), GradVac(2)
    before = {name: value.clone() for name, value in remembering.named_buffers()}
    check_weights(drawing)
    check_weights(remembering)
    assert torch.equal(torch.get_rng_state(), state)
    assert not remembering.next
    assert all(torch.equal(value, before[name]) for name, value in remembering.named_buffers())
