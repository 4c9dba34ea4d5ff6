import math

import pytest
import torch
from torch import Tensor

from fusionseg.losses import InverseDepthError, Loss, ScaleInvariantError

Batch = tuple[Tensor, Tensor, Tensor]


@pytest.fixture
def batch() -> Batch:
    """Predicted and true depths of three images, of which the last has no valid pixel."""
    chance = torch.Generator().manual_seed(0)
    mask = torch.rand(3, 4, 5, generator=chance) > 0.3
    mask[2] = False
    output, target = 0.2 + 10 * torch.rand(2, 3, 1, 4, 5, generator=chance).double()
    return output, target.where(mask.unsqueeze(1), 0), mask


def test_inverse_depths_are_compared_at_the_labelled_pixels(batch: Batch) -> None:
    output, target, mask = batch
    expected = sum(abs(1 / output[b, 0, y, x] - 1 / target[b, 0, y, x]).item() for b, y, x in mask.nonzero())
    total, weight = InverseDepthError()(*batch)
    assert total.item() == pytest.approx(expected)
    assert weight.item() == mask.sum().item()


@pytest.mark.parametrize("scale_invariance", [0.0, 0.5, 0.85, 1.0])
def test_scale_invariant_error_is_equation_4_of_each_image(scale_invariance: float, batch: Batch) -> None:
    output, target, mask = batch
    expected = 0.0
    for image in (0, 1):
        pixels = mask[image].nonzero().tolist()
        d = [math.log(output[image, 0, y, x]) - math.log(target[image, 0, y, x]) for y, x in pixels]
        n = len(d)
        expected += sum(v**2 for v in d) / n - scale_invariance / n**2 * sum(d) ** 2
    total, weight = ScaleInvariantError(scale_invariance)(*batch)
    assert total.item() == pytest.approx(expected)
    assert weight.item() == 2


def test_scale_invariant_error_is_the_mean_over_all_pairs_of_pixels(batch: Batch) -> None:
    """The definition itself, arXiv:1406.2283, eq. 2, is half of the pairs' mean squared difference."""
    output, target, mask = (x[:1] for x in batch)
    d = (output / target).log()[:, 0][mask]
    pairs = (d[:, None] - d).square().mean() / 2
    total, _ = ScaleInvariantError(1.0)(output, target, mask)
    torch.testing.assert_close(total, pairs)


@pytest.mark.parametrize("factor", [0.1, 3.0])
def test_a_common_factor_costs_nothing_if_the_error_is_invariant_to_scale(
    factor: float, batch: Batch
) -> None:
    output, target, mask = batch
    loss = ScaleInvariantError(1.0)
    torch.testing.assert_close(loss(factor * output, target, mask), loss(output, target, mask))
    assert loss(factor * target, target, mask)[0].item() == pytest.approx(0, abs=1e-12)
    assert ScaleInvariantError(0.5)(factor * target, target, mask)[0].item() == pytest.approx(
        2 * 0.5 * math.log(factor) ** 2
    )


@pytest.mark.parametrize("loss", [InverseDepthError(), ScaleInvariantError()])
def test_depths_of_zero_and_below_cost_as_much_as_a_millimeter(loss: Loss, batch: Batch) -> None:
    _, target, mask = batch
    output = torch.full_like(target, -2.0)
    output[..., 0] = 0
    output.requires_grad_()
    total, _ = loss(output, target, mask)
    assert total.item() == pytest.approx(loss(torch.full_like(target, 1e-3), target, mask)[0].item())
    assert torch.autograd.grad(total, output)[0].isfinite().all()


@pytest.mark.parametrize("loss", [InverseDepthError(), ScaleInvariantError()])
def test_output_and_target_of_two_shapes_are_refused(loss: Loss, batch: Batch) -> None:
    output, target, mask = batch
    with pytest.raises(ValueError, match=rf"{type(loss).__name__} expects output and target of one shape"):
        loss(output, target[:, 0], mask)


def test_scale_invariant_error_refuses_several_channels() -> None:
    two = torch.ones(1, 2, 3, 4)
    with pytest.raises(ValueError, match=r"expects depths \(B, 1, H, W\), found \(1, 2, 3, 4\)"):
        ScaleInvariantError()(two, two, torch.ones(1, 3, 4, dtype=torch.bool))


@pytest.mark.parametrize("scale_invariance", [-0.1, 1.1])
def test_a_scale_invariance_beyond_0_and_1_is_refused(scale_invariance: float) -> None:
    with pytest.raises(ValueError, match=rf"scale_invariance in \[0, 1\], found {scale_invariance}"):
        ScaleInvariantError(scale_invariance)
