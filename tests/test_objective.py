import math

import pytest
import torch

from fusionseg.objective import divided, loss_weights, weighted


def test_a_task_s_loss_is_the_sum_of_its_terms_over_their_weights() -> None:
    sums = torch.tensor([[6.0, 1.0, 0.0], [5.0, 0.0, 0.0]])
    weights = torch.tensor([[3.0, 4.0, 0.0], [10.0, 0.0, 0.0]])
    assert divided(sums, weights).tolist() == [2.25, 0.5]


def test_what_nothing_is_labelled_for_is_an_exact_zero_with_a_gradient_of_zero() -> None:
    sums = torch.zeros(2, 1, requires_grad=True)
    loss = weighted(divided(sums * 3, torch.zeros(2, 1)), [1.0, 2.0])
    assert loss == 0
    (gradient,) = torch.autograd.grad(loss, sums)
    assert gradient.isfinite().all()


def test_losses_are_added_by_their_weights() -> None:
    losses = torch.tensor([2.0, 3.0], dtype=torch.float64, requires_grad=True)
    loss = weighted(losses, [0.25, 4.0])
    assert loss == 0.25 * 2 + 4 * 3
    assert torch.autograd.grad(loss, losses)[0].tolist() == [0.25, 4.0]


def test_weights_of_tasks_without_a_head_do_not_count() -> None:
    assert loss_weights(semantic=None, region=0.5) == {"region": 0.5}
    assert loss_weights(semantic=0.0, region=0.5) == {"semantic": 0.0, "region": 0.5}


@pytest.mark.parametrize(
    ("semantic", "region", "message"),
    [
        (None, None, "both null: expected at least one head"),
        (0.0, 0.0, r"nothing would be learned with alpha = 0.0, beta = 0.0"),
        (None, 0.0, r"nothing would be learned with beta = 0.0"),
        (-1.0, 1.0, r"0 or more, found alpha = -1.0, beta = 1.0"),
        (1.0, math.nan, r"beta = nan"),
        (math.inf, 1.0, r"alpha = inf"),
    ],
)
def test_weights_that_teach_nothing_are_refused(semantic: float | None, region: float | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss_weights(semantic=semantic, region=region)
