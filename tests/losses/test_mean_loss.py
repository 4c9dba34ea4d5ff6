from collections.abc import Callable
from functools import partial

import pytest
import torch
from segmentation_models_pytorch.losses import (
    DiceLoss,
    FocalLoss,
    JaccardLoss,
    LovaszLoss,
    SoftBCEWithLogitsLoss,
)
from torch import Tensor, nn

from fusionseg.config.errors import UserError
from fusionseg.losses import CrossEntropy, MeanLoss


class Infinite(nn.Module):
    """Infinite, with gradients that are not even a number, where the target is nothing but zeros."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        labelled = target != 255
        return output.square().where(labelled.unsqueeze(1), 0).sum() / target[labelled].sum()


class Unmasked(nn.Module):
    """Knows no void, and neither fails on it nor tells."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return (output.softmax(1)[:, 1] - (target == 1).float()).square().mean()


class Product(nn.Module):
    """The inner product of output and target, which autocast would round."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        known = target.where(target != 255, 0)
        return (output.flatten()[None] @ known.flatten()[:, None]).squeeze()


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


@pytest.mark.parametrize(
    ("recipe", "ignore_index"),
    [
        (nn.CrossEntropyLoss, 255),
        (partial(nn.CrossEntropyLoss, ignore_index=255), -100),
        (partial(DiceLoss, "multiclass"), 255),
        (partial(LovaszLoss, "multiclass"), 255),
        (partial(FocalLoss, "multiclass"), 255),
        (Unmasked, 255),
    ],
)
def test_a_loss_that_does_not_ignore_unlabelled_pixels_is_refused(
    recipe: Callable[[], nn.Module], ignore_index: int, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    with pytest.raises(UserError, match=rf"does not ignore {ignore_index}.*same ignore_index"):
        MeanLoss(recipe, ignore_index)(*batch)


@pytest.mark.parametrize("recipe", [nn.L1Loss, nn.MSELoss, nn.SmoothL1Loss])
def test_unlabelled_depths_are_not_taken_for_255_meters(recipe: type[nn.Module]) -> None:
    depth = torch.rand(2, 1, 6, 5)
    with pytest.raises(UserError, match=f"{recipe.__name__} does not ignore 255"):
        MeanLoss(recipe)(torch.rand(2, 1, 6, 5), depth, depth[:, 0] > 0.5)


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("number", [1, 2, 4])
@pytest.mark.parametrize("recipe", [nn.MSELoss, nn.L1Loss])
def test_a_loss_that_broadcasts_class_ids_over_the_channels_is_refused(
    recipe: type[nn.Module], number: int, channels: int
) -> None:
    target = torch.ones(number, 6, 5, dtype=torch.long)
    found = rf"{recipe.__name__} broadcasts an output \(1, {channels}, 32, 32\) and a target \(1, 32, 32\)"
    with pytest.raises(UserError, match=found):
        MeanLoss(recipe)(torch.zeros(number, channels, 6, 5), target, target > 0)


def test_a_loss_without_a_scalar_is_refused(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    recipe = partial(nn.CrossEntropyLoss, ignore_index=255, reduction="none")
    with pytest.raises(
        UserError, match=r"expects a mean, CrossEntropyLoss returns \(1, 32, 32\): set its red"
    ):
        MeanLoss(recipe)(*batch)


def test_a_loss_of_this_package_is_refused() -> None:
    with pytest.raises(UserError, match="CrossEntropy is no external loss: leave MeanLoss out"):
        MeanLoss(CrossEntropy)  # type: ignore[arg-type]


@pytest.mark.parametrize("external", [DiceLoss, JaccardLoss, FocalLoss, LovaszLoss])
def test_one_channel_is_compared_with_the_truth_of_class_1(external: type[nn.Module]) -> None:
    chance = torch.Generator().manual_seed(1)
    output = torch.randn(2, 1, 6, 5, generator=chance)
    target = torch.randint(2, (2, 6, 5), generator=chance)
    recipe = partial(external, "binary", ignore_index=255)
    expected = sum(recipe()(output[i : i + 1], target[i : i + 1]) for i in (0, 1))
    total, _ = MeanLoss(recipe)(output, target, torch.ones(2, 6, 5, dtype=torch.bool))
    torch.testing.assert_close(total, expected)


def test_a_trial_leaves_the_loss_as_it_is(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    class Counter(nn.Module):
        calls = 0

        def forward(self, output: Tensor, target: Tensor) -> Tensor:
            self.calls += 1
            return nn.functional.cross_entropy(output, target, ignore_index=255)

    loss = MeanLoss(Counter)
    before = torch.get_rng_state()
    loss(*batch)
    assert loss.loss.calls == 3
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loss_of_one_s_own_that_fails_keeps_its_own_error_with_what_it_was_given(
    batch: tuple[Tensor, Tensor, Tensor],
) -> None:
    class Large(nn.Module):
        def forward(self, output: Tensor, target: Tensor) -> Tensor:
            raise RuntimeError("expected 161 x 161 pixels")

    with pytest.raises(RuntimeError, match="expected 161 x 161 pixels") as failed:
        MeanLoss(Large)(*batch)
    assert failed.value.__notes__ == [
        "(Large was given an output (1, 4, 6, 5) of torch.float32 and a target (1, 6, 5) of torch.int64)"
    ]


def test_a_library_s_loss_that_cannot_take_what_it_is_given_is_refused_in_a_line_with_its_reason(
    batch: tuple[Tensor, Tensor, Tensor],
) -> None:
    line = (
        r"BCELoss was given an output \(1, 4, 6, 5\) of torch.float32 and a target \(1, 6, 5\) of torch.int64, on "
        r"which it fails, as on small images: Using a target size .* is deprecated.*; choose one that takes these"
    )
    with pytest.raises(UserError, match=line):
        MeanLoss(nn.BCELoss)(*batch)


def test_a_library_s_loss_that_fails_later_keeps_its_own_error(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    loss = MeanLoss(partial(nn.CrossEntropyLoss, ignore_index=255))
    loss(*batch)
    output, _, mask = batch
    with pytest.raises(IndexError, match="Target 77 is out of bounds") as failed:
        loss(output, torch.full_like(mask, 77, dtype=torch.long), mask)
    assert "CrossEntropyLoss was given an output" in failed.value.__notes__[0]
