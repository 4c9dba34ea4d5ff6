import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from segmentation_models_pytorch.losses import FocalLoss
from torch import Tensor

from fusionseg.losses import CrossEntropy, Focal

WEIGHTS = [0.5, 2.0, 1.0, 0.25]


def example(channels: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    chance = torch.Generator().manual_seed(channels)
    target = torch.randint(max(channels, 2), (3, 6, 5), generator=chance)
    mask = torch.rand(3, 6, 5, generator=chance) > 0.25
    return torch.randn(3, channels, 6, 5, generator=chance).double(), target.masked_fill(~mask, 255), mask


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_pytorchs(weights: list[float] | None, smoothing: float) -> None:
    output, target, mask = example()
    total, weight = CrossEntropy(weights, smoothing)(output, target, mask)
    given = None if weights is None else torch.tensor(weights).double()
    settings: dict[str, Any] = {"weight": given, "ignore_index": 255, "label_smoothing": smoothing}
    torch.testing.assert_close(total, F.cross_entropy(output, target, reduction="sum", **settings))
    torch.testing.assert_close(total / weight, F.cross_entropy(output, target, **settings))
    assert weight.item() == pytest.approx(sum((weights or [1] * 4)[i] for i in target[mask].tolist()))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_one_channel_is_a_sigmoid_whose_positive_class_is_1(smoothing: float) -> None:
    output, target, mask = example(1)
    total, weight = CrossEntropy([0.5, 3.0], smoothing)(output, target, mask)
    goal = target[mask] * (1 - smoothing) + smoothing / 2
    # A class weight multiplies the part of the smoothed target that belongs to its class, as in PyTorch's softmax form.
    expected = F.binary_cross_entropy_with_logits(
        output[:, 0][mask], goal.double(), pos_weight=torch.tensor(6.0).double(), reduction="sum"
    )
    torch.testing.assert_close(total, expected * 0.5)
    assert weight.item() == pytest.approx((target[mask] * 2.5 + 0.5).sum().item())


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.75])
def test_hardest_keeps_the_largest_losses_of_each_image(weights: list[float] | None, share: float) -> None:
    output, target, mask = example()
    mask[2] = False
    factors = torch.tensor(weights or [1.0] * 4).double()
    total = weight = 0.0
    for logits, truth, labelled in zip(output, target, mask, strict=True):
        losses = F.cross_entropy(logits[:, labelled].T, truth[labelled], factors, reduction="none")
        pairs = sorted(zip(losses.tolist(), factors[truth[labelled]].tolist(), strict=True), reverse=True)
        kept = pairs[: math.ceil(share * len(pairs))]
        total, weight = total + sum(p[0] for p in kept), weight + sum(p[1] for p in kept)
    found = torch.stack(CrossEntropy(weights, hardest=share)(output, target, mask))
    torch.testing.assert_close(found, torch.tensor([total, weight]).double())


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_class_without_weight_counts_as_unlabelled(share: float) -> None:
    output, target, mask = example()
    silent = CrossEntropy([0.0, 1.0, 1.0, 1.0], label_smoothing=0.1, hardest=share)
    torch.testing.assert_close(silent(output, target, mask), silent(output, target, mask & (target != 0)))
    assert torch.stack(silent(output, torch.zeros_like(target), mask)).tolist() == [0, 0]


def test_balanced_weights_are_the_median_frequency_over_the_own() -> None:
    output, target, mask = example()
    loss = CrossEntropy("balanced")
    assert loss.needs_counts
    loss.balance(torch.tensor([10, 0, 40, 20]))
    expected = CrossEntropy([2.0, 0.0, 0.5, 1.0])(output, target, mask)
    torch.testing.assert_close(loss(output, target, mask), expected)


def test_balanced_weights_survive_in_a_checkpoint() -> None:
    output, target, mask = example()
    loss, fresh = CrossEntropy("balanced"), CrossEntropy("balanced")
    loss.balance(torch.tensor([10, 30, 40, 20]))
    fresh.load_state_dict(loss.state_dict())
    torch.testing.assert_close(fresh(output, target, mask), loss(output, target, mask))
    assert not CrossEntropy(WEIGHTS).state_dict()


def test_balanced_weights_have_to_be_known() -> None:
    loss = CrossEntropy("balanced")
    with pytest.raises(RuntimeError, match=r"call balance\(counts\)"):
        loss(*example())
    loss.load_state_dict(CrossEntropy("balanced").state_dict())
    with pytest.raises(RuntimeError, match=r"call balance\(counts\)"):
        loss(*example())
    with pytest.raises(ValueError, match="no labelled pixel"):
        loss.balance(torch.zeros(4))


def test_only_balanced_cross_entropy_listens_to_counts() -> None:
    loss = CrossEntropy(WEIGHTS)
    before = loss(*example())
    loss.balance(torch.tensor([10, 30, 40, 20]))
    assert not loss.needs_counts
    torch.testing.assert_close(loss(*example()), before)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("channels", [1, 4])
def test_focal_is_the_papers_formula(gamma: float, channels: int) -> None:
    output, target, mask = example(channels)
    alpha = [0.75, 0.25] if channels == 1 else WEIGHTS
    expected = 0.0
    for image, row, column in mask.nonzero().tolist():
        logits = output[image, :, row, column].tolist()
        powers = [math.exp(z) for z in ([0.0, *logits] if channels == 1 else logits)]
        truth = int(target[image, row, column])
        p = powers[truth] / sum(powers)
        expected -= alpha[truth] * (1 - p) ** gamma * math.log(p)
    total, weight = Focal(gamma, alpha)(output, target, mask)
    assert total.item() == pytest.approx(expected)
    assert weight.item() == mask.sum().item()


def test_focal_is_smps_for_one_channel() -> None:
    output, target, mask = example(1)
    expected = FocalLoss("binary", alpha=0.25, gamma=2.0, ignore_index=255, reduction="sum")(
        output[:, 0], target
    )
    torch.testing.assert_close(Focal(2.0, [0.75, 0.25])(output, target, mask)[0], expected)


@pytest.mark.parametrize(
    ("loss", "settings", "message"),
    [
        (CrossEntropy, {"label_smoothing": 1.5}, r"label_smoothing must lie in \[0, 1\], found 1.5"),
        (CrossEntropy, {"hardest": 0.0}, r"hardest must lie in \(0, 1\], found 0.0"),
        (CrossEntropy, {"class_weights": [-1.0, 2.0]}, "class_weights must be non-negative"),
        (CrossEntropy, {"class_weights": [0.0, 0.0]}, "class_weights must be non-negative"),
        (CrossEntropy, {"class_weights": []}, "class_weights must be non-negative"),
        (CrossEntropy, {"class_weights": "balance"}, "class_weights must be .* found 'balance'"),
        (Focal, {"gamma": -1.0}, "gamma must not be negative"),
        (Focal, {"alpha": [0.0]}, "alpha must be non-negative"),
    ],
)
def test_arguments_out_of_range_are_refused(loss: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss(**settings)


@pytest.mark.parametrize("loss", [CrossEntropy([1.0, 2.0]), Focal(alpha=[1.0, 2.0])])
def test_weights_for_another_number_of_classes_are_refused(loss: CrossEntropy | Focal) -> None:
    with pytest.raises(ValueError, match="for 4 classes, found 2 values"):
        loss(*example())
