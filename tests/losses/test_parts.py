from collections.abc import Callable
from functools import partial

import pytest
import torch
from segmentation_models_pytorch.losses import JaccardLoss
from torch import Tensor

from benchmarks.training import peak
from fusionseg.losses import CrossEntropy, Dice, Loss, Lovasz, MeanLoss, MeanSquaredError
from fusionseg.losses.base import sums_and_weights
from fusionseg.losses.parts import Part, Stage, in_stages

CLASSES = 133
IN_PARTS = {
    "cross-entropy": CrossEntropy,
    "hardest": partial(CrossEntropy, hardest=0.2),
    "squared": MeanSquaredError,
    "dice": Dice,
}
slow_lovasz = pytest.param(Lovasz, marks=pytest.mark.slow, id="lovasz")  # a thousand parts
in_parts = pytest.mark.parametrize(
    "recipe", [*(pytest.param(recipe, id=name) for name, recipe in IN_PARTS.items()), slow_lovasz]
)


def batch(number: int, side: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Logits at a quarter of the labels' size, and labels of which one in eight is void."""
    chance = torch.Generator().manual_seed(0)
    logits = torch.randn(number, CLASSES, side // 4, side // 4, generator=chance).to(dtype)
    target = torch.randint(CLASSES, (number, side, side), generator=chance)
    target[:, : side // 8] = 255
    return logits.requires_grad_(), target, target != 255


def memory(loss: Loss, logits: Tensor, target: Tensor, mask: Tensor) -> int:
    """The peak memory of a loss and its gradient in bytes."""

    def gradient() -> None:
        sums, weights = sums_and_weights([loss], logits, target, mask)
        torch.autograd.grad((sums / weights).sum(), logits)

    return peak(gradient)


@in_parts
def test_memory_is_less_than_one_and_a_half_of_the_logits_and_labels(
    recipe: Callable[[], Loss], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fusionseg.losses.base.LARGE", 0)
    logits, target, mask = batch(8, 96, torch.float32)
    assert memory(recipe(), logits, target, mask) < 1.5 * (logits.nbytes + target.nbytes)


def test_half_precision_needs_half_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusionseg.losses.base.LARGE", 0)
    logits, target, mask = batch(8, 96, torch.bfloat16)
    assert memory(CrossEntropy(), logits, target, mask) < 1.5 * (logits.nbytes + target.nbytes)


@in_parts
def test_a_small_output_is_enlarged_as_a_whole(recipe: Callable[[], Loss]) -> None:
    logits, target, mask = batch(2, 32, torch.float32)
    assert memory(recipe(), logits, target, mask) > 16 * logits.nbytes


def test_an_external_loss_that_holds_a_large_output_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusionseg.losses.base.LARGE", 0)
    loss = MeanLoss(partial(JaccardLoss, "multiclass", ignore_index=255))
    with pytest.warns(UserWarning, match=r"JaccardLoss holds the enlarged output \(2, 133, 32, 32\)"):
        sums_and_weights([loss], *batch(2, 32, torch.float32))


def test_a_stage_reads_the_output_and_the_stages_before() -> None:
    output = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).double().requires_grad_()

    def square(x: Tensor) -> Tensor:
        return x.square().sum(1)

    def product(x: Tensor, before: Tensor) -> Tensor:
        return (x * before.unsqueeze(1)).sin().sum((2, 3))

    every = slice(None)
    rows = [Part(square, ((every, every, slice(y, y + 1)),), (every, slice(y, y + 1))) for y in range(4)]
    channels = [
        Part(product, ((every, slice(c, c + 1)), (every,)), (every, slice(c, c + 1))) for c in range(3)
    ]

    def found(x: Tensor) -> Tensor:
        return in_stages(x, [Stage(rows, (4, 5)), Stage(channels, (3,))])

    def expected(x: Tensor) -> Tensor:
        return product(x, square(x))

    torch.testing.assert_close(found(output), expected(output))
    assert torch.autograd.gradcheck(found, output)


def test_the_graph_can_be_gone_through_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusionseg.losses.base.LARGE", 0)
    logits, target, mask = batch(2, 32, torch.float64)
    sums, _ = sums_and_weights([CrossEntropy(), Lovasz()], logits, target, mask)
    (first,) = torch.autograd.grad(sums[0], logits, retain_graph=True)
    (second,) = torch.autograd.grad(sums[1], logits, retain_graph=True)
    (both,) = torch.autograd.grad(sums.sum(), logits)
    torch.testing.assert_close(first + second, both)
