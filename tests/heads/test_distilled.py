"""Distances of outputs against plain loops and other libraries' formulas."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, kl_divergence

from fusionseg.config.errors import UserError
from fusionseg.heads.distilled import (
    angular_distance,
    sigmoid_divergence,
    smooth_distance,
    softmax_divergence,
)


def outputs(*shape: int) -> tuple[Tensor, Tensor]:
    return torch.randn(shape, dtype=torch.float64) * 3, torch.randn(shape, dtype=torch.float64) * 3


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_divergences_are_those_of_torch_s_distributions(temperature: float) -> None:
    own, taught = outputs(2, 5, 3, 4)
    total, count = softmax_divergence(own, taught, temperature)
    p, q = (Categorical(logits=v.movedim(1, -1) / temperature) for v in (taught, own))
    torch.testing.assert_close(total, kl_divergence(p, q).sum() * temperature**2)
    assert count == 2 * 3 * 4
    total, count = sigmoid_divergence(own, taught, temperature)
    first, second = (Bernoulli(logits=v / temperature) for v in (taught, own))
    torch.testing.assert_close(total, kl_divergence(first, second).sum() * temperature**2)
    assert count == 2 * 5 * 3 * 4


def test_at_high_temperature_the_gradient_is_that_of_half_the_squared_difference() -> None:
    """Hinton et al., eq. 4: with logits of mean 0 it is (z - v) / N for N classes."""
    own, taught = (v - v.mean(1, keepdim=True) for v in outputs(3, 7))
    own.requires_grad_()
    total, _ = softmax_divergence(own, taught, 1e4)
    (slope,) = torch.autograd.grad(total, own)
    torch.testing.assert_close(slope, (own.detach() - taught) / 7, rtol=2e-3, atol=1e-4)


def test_other_distances_are_those_of_plain_loops() -> None:
    own, taught = outputs(2, 3, 2, 2)
    expected = 0.0
    for a, b in zip(own.flatten().tolist(), taught.flatten().tolist(), strict=True):
        d = abs(a - b)
        expected += d**2 / 2 if d < 1 else d - 0.5
    assert smooth_distance(own, taught)[0].item() == pytest.approx(expected)
    angles = 0.0
    for a, b in zip(
        own.movedim(1, -1).reshape(-1, 3).tolist(), taught.movedim(1, -1).reshape(-1, 3), strict=True
    ):
        product = sum(x * y for x, y in zip(a, b.tolist(), strict=True))
        angles += 1 - product / (math.hypot(*a) * math.hypot(*b.tolist()))
    total, count = angular_distance(own, taught)
    assert total.item() == pytest.approx(angles)
    assert count == 8


def test_a_teacher_of_another_resolution_is_compared_at_that_of_the_output() -> None:
    own, taught = torch.randn(1, 3, 8, 8), torch.randn(1, 3, 16, 16)
    small = torch.nn.functional.interpolate(taught, (8, 8), mode="bilinear")
    assert torch.equal(smooth_distance(own, taught)[0], smooth_distance(own, small)[0])


def test_certain_teachers_give_finite_distances() -> None:
    own = torch.zeros(1, 2, 1, 1, requires_grad=True)
    for divergence in (softmax_divergence, sigmoid_divergence):
        total, _ = divergence(own, torch.tensor([1e4, -1e4]).view(1, 2, 1, 1), 1.0)
        (slope,) = torch.autograd.grad(total, own)
        assert total.isfinite()
        assert slope.isfinite().all()


def test_a_teacher_of_other_channels_is_refused() -> None:
    with pytest.raises(UserError, match="whose output has 3 channels, found 4: choose a teacher"):
        softmax_divergence(torch.zeros(1, 3, 2, 2), torch.zeros(1, 4, 2, 2), 1.0)
