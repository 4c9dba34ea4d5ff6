from functools import partial

import pytest
import torch
from segmentation_models_pytorch.losses import DiceLoss, JaccardLoss, LovaszLoss, SoftBCEWithLogitsLoss
from torch import Tensor, nn

from fusionseg.losses import MeanLoss


class Infinite(nn.Module):
    """Infinite, with gradients that are not even a number, where the target is nothing but zeros."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return output.square().sum() / target.sum()


class Product(nn.Module):
    """The inner product of output and target, which autocast would round."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return (output.flatten(1) @ target.flatten(1).T).squeeze()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    chance = torch.Generator().manual_seed(0)
    mask = torch.rand(3, 6, 5, generator=chance) > 0.25
    mask[1] = False
    target = torch.randint(4, (3, 6, 5), generator=chance).masked_fill(~mask, 255)
    return torch.randn(3, 4, 6, 5, generator=chance), target, mask


@pytest.mark.parametrize("external", [JaccardLoss, DiceLoss, LovaszLoss])
def test_the_sum_runs_over_the_labelled_images(
    external: type[nn.Module], batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    recipe = partial(external, "multiclass", ignore_index=255)
    output, target, _ = batch
    expected = sum(recipe()(output[i : i + 1], target[i : i + 1]) for i in (0, 2))
    total, weight = MeanLoss(recipe)(*batch)
    torch.testing.assert_close(total, expected)
    assert weight.item() == 2


def test_unlabelled_pixels_carry_the_index_that_the_external_loss_ignores() -> None:
    recipe = partial(SoftBCEWithLogitsLoss, ignore_index=-7, reduction="sum")
    output, mask = torch.randn(1, 1, 2, 2), torch.tensor([[[True, False], [True, True]]])
    target = torch.ones(1, 1, 2, 2)
    total, _ = MeanLoss(recipe, ignore_index=-7)(output, target, mask)
    torch.testing.assert_close(total, nn.functional.softplus(-output[:, 0][mask]).sum())


def test_external_losses_work_in_full_precision_under_autocast() -> None:
    output, target = torch.rand(2, 1, 1, 4, 5, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = MeanLoss(Product)(output, target, torch.ones(1, 4, 5, dtype=torch.bool))
    torch.testing.assert_close(total, (output * target).sum())


def test_images_without_labels_hide_what_is_undefined_there(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    output, target, mask = batch
    assert Infinite()(output, torch.zeros_like(target)).isinf()
    output.requires_grad_()
    total, _ = MeanLoss(Infinite)(output, target, mask)
    (gradient,) = torch.autograd.grad(total, output)
    assert total.isfinite()
    assert gradient.isfinite().all()
    assert not gradient[1].any()
    assert gradient[0].any()
