from itertools import pairwise

import pytest
import torch
from segmentation_models_pytorch.losses import DiceLoss, LovaszLoss
from torch import Tensor

from fusionseg.losses import Dice, Lovasz


def example(channels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Two images with labels, of which the first lacks class 2, and one without."""
    chance = torch.Generator().manual_seed(channels)
    target = torch.randint(max(channels, 2), (3, 6, 5), generator=chance)
    target[0] = target[0].masked_fill(target[0] == 2, 0)
    mask = torch.rand(3, 6, 5, generator=chance) > 0.25
    mask[2] = False
    return torch.randn(3, channels, 6, 5, generator=chance).double(), target.masked_fill(~mask, 255), mask


def picked(output: Tensor, target: Tensor, mask: Tensor) -> list[tuple[list[list[float]], list[int]]]:
    """Logits of each channel and class ids of the labelled pixels of each labelled image."""
    return [
        (z[:, m].tolist(), t[m].tolist())
        for z, t, m in zip(output.unbind(), target.unbind(), mask.unbind(), strict=True)
        if m.any()
    ]


def jaccard_loss(truth: list[bool], wrong: set[int]) -> float:
    """1 - intersection over union of a class whose pixels in `wrong` are mistaken."""
    guess = [t != (i in wrong) for i, t in enumerate(truth)]
    union = sum(t or g for t, g in zip(truth, guess, strict=True))
    return 1 - sum(t and g for t, g in zip(truth, guess, strict=True)) / union if union else 0.0


def lovasz_extension(truth: list[bool], errors: list[float]) -> float:
    """The definition: the Choquet integral of the Jaccard loss over the errors' level sets."""
    levels = sorted({max(e, 0.0) for e in errors} | {0.0})
    sets = [{i for i, e in enumerate(errors) if e >= high} for _, high in pairwise(levels)]
    return sum(
        (high - low) * jaccard_loss(truth, wrong)
        for (low, high), wrong in zip(pairwise(levels), sets, strict=True)
    )


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_dice_is_the_mean_over_the_classes_shown(smooth: float) -> None:
    batch = example(4)
    expected = 0.0
    for logits, truth in picked(*batch):
        powers = torch.tensor(logits, dtype=torch.float64).exp()
        shares = (powers / powers.sum(0)).tolist()
        costs = []
        for c in set(truth):
            both = sum(p for p, t in zip(shares[c], truth, strict=True) if t == c)
            costs.append(1 - (2 * both + smooth) / (sum(shares[c]) + truth.count(c) + smooth))
        expected += sum(costs) / len(costs)
    total, weight = Dice(smooth)(*batch)
    assert total.item() == pytest.approx(expected)
    assert weight.item() == 2


@pytest.mark.parametrize("channels", [1, 4])
def test_dice_is_smps_for_one_image_with_all_classes(channels: int) -> None:
    output, target, mask = (x[1:2] for x in example(channels))
    reference = DiceLoss("binary" if channels == 1 else "multiclass", smooth=1.0, ignore_index=255)
    # SMP divides numerator and denominator by 2 before it adds its smoothing.
    torch.testing.assert_close(Dice(2.0)(output, target, mask)[0], reference(output, target))


def test_binary_dice_counts_false_alarms_where_class_1_is_not_shown() -> None:
    output = torch.full((1, 1, 2, 2), 2.0)
    total, weight = Dice(1.0)(output, torch.zeros(1, 2, 2), torch.ones(1, 2, 2, dtype=torch.bool))
    assert total.item() == pytest.approx(1 - 1 / (4 * torch.tensor(2.0).sigmoid().item() + 1))
    assert weight.item() == 1


def test_lovasz_softmax_is_the_lovasz_extension_of_the_jaccard_loss() -> None:
    batch = example(4)
    expected = 0.0
    for logits, truth in picked(*batch):
        powers = torch.tensor(logits, dtype=torch.float64).exp()
        shares = (powers / powers.sum(0)).tolist()
        costs = [
            lovasz_extension(
                [t == c for t in truth], [abs((t == c) - p) for p, t in zip(shares[c], truth, strict=True)]
            )
            for c in set(truth)
        ]
        expected += sum(costs) / len(costs)
    total, weight = Lovasz()(*batch)
    assert total.item() == pytest.approx(expected)
    assert weight.item() == 2


def test_lovasz_hinge_is_the_lovasz_extension_of_the_jaccard_loss() -> None:
    batch = example(1)
    expected = sum(
        lovasz_extension(
            [t == 1 for t in truth], [1 - z * (2 * t - 1) for z, t in zip(logits[0], truth, strict=True)]
        )
        for logits, truth in picked(*batch)
    )
    total, weight = Lovasz()(*batch)
    assert total.item() == pytest.approx(expected)
    assert weight.item() == 2


@pytest.mark.parametrize("channels", [1, 4])
def test_lovasz_is_smps(channels: int) -> None:
    output, target, mask = (x[:2] for x in example(channels))
    output = output.float()
    reference = LovaszLoss("binary" if channels == 1 else "multiclass", per_image=True, ignore_index=255)
    total, weight = Lovasz()(output, target, mask)
    torch.testing.assert_close(total / weight, reference(output, target))


@pytest.mark.parametrize("channels", [1, 3])
def test_dice_without_smoothing_is_defined_for_a_class_that_is_neither_shown_nor_likely(
    channels: int,
) -> None:
    output = torch.full((1, channels, 2, 2), -1e4)
    output[:, 0] *= -1 if channels > 1 else 1
    output.requires_grad_()
    total, _ = Dice(0.0)(output, torch.zeros(1, 2, 2), torch.ones(1, 2, 2, dtype=torch.bool))
    assert total.isfinite()
    assert torch.autograd.grad(total, output)[0].isfinite().all()


def test_a_perfect_answer_costs_nothing() -> None:
    _, target, mask = example(4)
    output = 60.0 * (target.unsqueeze(1) == torch.arange(4).view(-1, 1, 1)).double()
    for loss in (Dice(0.0), Dice(1.0), Lovasz()):
        assert loss(output, target, mask)[0].item() == pytest.approx(0, abs=1e-12)


def test_negative_smoothing_is_refused() -> None:
    with pytest.raises(ValueError, match="smooth must not be negative, found -1"):
        Dice(-1.0)
