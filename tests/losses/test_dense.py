import math

import pytest
import torch
from torch import Tensor

from fusionseg.losses import AbsoluteError, BalancedBCE, CosineError, Loss, MeanSquaredError


@pytest.fixture
def mask() -> Tensor:
    mask = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0)) > 0.3
    mask[2] = False
    return mask


@pytest.mark.parametrize(("loss", "power"), [(MeanSquaredError(), 2), (AbsoluteError(), 1)])
def test_errors_add_up_over_channels_and_labelled_pixels(loss: Loss, power: int, mask: Tensor) -> None:
    output, target = torch.randn(2, 3, 2, 4, 5, generator=torch.Generator().manual_seed(1)).double()
    expected = sum(
        abs(output[b, k, y, x] - target[b, k, y, x]).item() ** power
        for b, y, x in mask.nonzero()
        for k in (0, 1)
    )
    total, weight = loss(output, target, mask)
    assert total.item() == pytest.approx(expected)
    assert weight.item() == mask.sum().item()


def test_cosine_error_is_one_minus_the_cosine_of_the_angle(mask: Tensor) -> None:
    output, target = torch.randn(2, 3, 3, 4, 5, generator=torch.Generator().manual_seed(3)).double()
    target = target / target.norm(dim=1, keepdim=True)
    expected = 0.0
    for b, y, x in mask.nonzero().tolist():
        u, v = output[b, :, y, x], target[b, :, y, x]
        angle = torch.atan2(torch.linalg.cross(u, v).norm(), u @ v)
        expected += 1 - math.cos(angle)
    total, weight = CosineError()(output, target, mask)
    assert total.item() == pytest.approx(expected)
    assert weight.item() == mask.sum().item()


@pytest.mark.parametrize("length", [1e-3, 1.0, 1e4])
def test_cosine_error_does_not_depend_on_the_length_of_the_output(length: float, mask: Tensor) -> None:
    output, target = torch.randn(2, 3, 3, 4, 5, generator=torch.Generator().manual_seed(4)).double()
    output = output / output.norm(dim=1, keepdim=True)
    torch.testing.assert_close(
        CosineError()(length * output, target, mask), CosineError()(output, target, mask)
    )


def test_a_vector_of_length_zero_costs_one_and_has_a_finite_gradient(mask: Tensor) -> None:
    output = torch.zeros(3, 3, 4, 5, requires_grad=True)
    total, weight = CosineError()(output, torch.ones(3, 3, 4, 5) / 3**0.5, mask)
    assert total == weight > 0
    assert torch.autograd.grad(total, output)[0].isfinite().all()


def test_boundaries_are_balanced_within_each_image(mask: Tensor) -> None:
    chance = torch.Generator().manual_seed(2)
    output = torch.randn(3, 1, 4, 5, generator=chance).double()
    target = (torch.rand(3, 4, 5, generator=chance) > 0.7).float()
    expected = expected_weight = 0.0
    for image in (0, 1):
        pixels = [
            (output[image, 0, y, x].item(), target[image, y, x].item()) for y, x in mask[image].nonzero()
        ]
        beta = sum(t == 0 for _, t in pixels) / len(pixels)
        assert 0 < beta < 1
        for z, t in pixels:
            p = 1 / (1 + math.exp(-z))
            expected -= beta * math.log(p) if t else (1 - beta) * math.log(1 - p)
            expected_weight += beta if t else 1 - beta
    total, weight = BalancedBCE()(output, target, mask)
    assert total.item() == pytest.approx(expected)
    assert weight.item() == pytest.approx(expected_weight)


@pytest.mark.parametrize("everywhere", [0.0, 1.0])
def test_an_image_of_one_kind_neither_costs_nor_weighs(everywhere: float, mask: Tensor) -> None:
    total, weight = BalancedBCE()(torch.randn(3, 1, 4, 5), torch.full((3, 4, 5), everywhere), mask)
    assert total.item() == pytest.approx(0, abs=1e-5)
    assert weight.item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("loss", [MeanSquaredError(), AbsoluteError(), CosineError(), BalancedBCE()])
def test_shapes_that_would_be_broadcast_are_refused(loss: Loss, mask: Tensor) -> None:
    with pytest.raises(
        ValueError, match=rf"{type(loss).__name__} expects output and target of one shape, found \(3,"
    ):
        loss(torch.zeros(3, 2, 4, 5), torch.zeros(3, 1, 4, 5), mask)


@pytest.mark.parametrize(("loss", "power"), [(MeanSquaredError(), 2), (AbsoluteError(), 1)])
@pytest.mark.parametrize("channels", [1, 4])
def test_class_ids_are_compared_with_probabilities(
    loss: Loss, power: int, channels: int, mask: Tensor
) -> None:
    chance = torch.Generator().manual_seed(5)
    output = torch.randn(3, channels, 4, 5, generator=chance).double()
    target = torch.randint(max(channels, 2), (3, 4, 5), generator=chance)
    expected = 0.0
    for b, y, x in mask.nonzero().tolist():
        powers = [math.exp(z) for z in output[b, :, y, x].tolist()]
        truth = target[b, y, x].item()
        if channels == 1:
            expected += abs(powers[0] / (1 + powers[0]) - truth) ** power
        else:
            expected += sum(abs(p / sum(powers) - (c == truth)) ** power for c, p in enumerate(powers))
    total, weight = loss(output, target.masked_fill(~mask, 255), mask)
    assert total.item() == pytest.approx(expected)
    assert weight.item() == mask.sum().item()
