"""Contract tests of all losses."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import CrossEntropyLoss
from torch.utils._python_dispatch import TorchDispatchMode

from fusionseg import losses
from fusionseg.losses import (
    AbsoluteError,
    BalancedBCE,
    CosineError,
    CrossEntropy,
    Dice,
    Discriminative,
    Focal,
    InverseDepthError,
    Loss,
    Lovasz,
    MeanLoss,
    MeanSquaredError,
    ScaleInvariantError,
)
from fusionseg.losses.base import sums_and_weights
from fusionseg.losses.enlarging import scaled

WEIGHTS = [0.5, 2.0, 1.0, 0.25]
Batch = tuple[Tensor, Tensor, Tensor]


def semantic(seed: int, channels: int = 4) -> Batch:
    chance = torch.Generator().manual_seed(seed)
    target = torch.randint(max(channels, 2), (3, 5, 7), generator=chance)
    mask = torch.rand(3, 5, 7, generator=chance) > 0.3
    mask[1] = False
    return torch.randn(3, channels, 5, 7, generator=chance).double(), target.masked_fill(~mask, 255), mask


def vectors(seed: int) -> Batch:
    output, _, mask = semantic(seed, 2)
    return output, torch.randn(3, 2, 5, 7, generator=torch.Generator().manual_seed(seed + 1)).double(), mask


def edges(seed: int) -> Batch:
    output, target, mask = semantic(seed, 1)
    return output, (target == 1).double(), mask


def directions(seed: int) -> Batch:
    """Vectors of any length, and unit vectors."""
    output, _, mask = semantic(seed, 3)
    target = torch.randn(3, 3, 5, 7, generator=torch.Generator().manual_seed(seed + 1)).double()
    return output, target / target.norm(dim=1, keepdim=True), mask


def regions(seed: int) -> Batch:
    """Embeddings, and the ids of up to four regions."""
    output, target, mask = semantic(seed)
    return output, (1 + 9 * target).masked_fill(~mask, 0), mask


def depths(seed: int) -> Batch:
    """Positive depths, and a ground truth of 0 where it is invalid."""
    output, _, mask = semantic(seed, 1)
    target = torch.rand(3, 1, 5, 7, generator=torch.Generator().manual_seed(seed + 1)).double() + 0.5
    return output.exp(), target.where(mask.unsqueeze(1), 0), mask


binary = partial(semantic, channels=1)
EXAMPLES: dict[str, tuple[Callable[[], Loss], Callable[[int], Batch]]] = {
    "cross-entropy": (CrossEntropy, semantic),
    "cross-entropy, weighted and smooth": (partial(CrossEntropy, WEIGHTS, 0.1), semantic),
    "cross-entropy, a class without weight": (partial(CrossEntropy, [0.0, 1.0, 1.0, 1.0], 0.1), semantic),
    "cross-entropy, hardest": (partial(CrossEntropy, WEIGHTS, hardest=0.4), semantic),
    "cross-entropy, binary": (partial(CrossEntropy, [1.0, 3.0], 0.1), binary),
    "focal": (partial(Focal, alpha=WEIGHTS), semantic),
    "focal, slow": (partial(Focal, gamma=0.5), semantic),
    "focal, binary": (partial(Focal, alpha=[0.75, 0.25]), binary),
    "dice": (Dice, semantic),
    "dice, not smooth": (partial(Dice, smooth=0.0), semantic),
    "dice, binary": (partial(Dice, smooth=0.0), binary),
    "lovasz": (Lovasz, semantic),
    "lovasz, binary": (Lovasz, binary),
    "squared": (MeanSquaredError, vectors),
    "squared, of classes": (MeanSquaredError, semantic),
    "squared, binary": (MeanSquaredError, binary),
    "absolute": (AbsoluteError, vectors),
    "absolute, of classes": (AbsoluteError, semantic),
    "boundary": (BalancedBCE, edges),
    "cosine": (CosineError, directions),
    "discriminative": (Discriminative, regions),
    "discriminative, few pairs": (partial(Discriminative, gamma=0.5, max_regions=2), regions),
    "inverse depth": (InverseDepthError, depths),
    "scale-invariant": (ScaleInvariantError, depths),
    "scale-invariant, entirely": (partial(ScaleInvariantError, 1.0), depths),
    "external, undefined without labels": (
        partial(MeanLoss, partial(CrossEntropyLoss, ignore_index=255)),
        semantic,
    ),
}
every_loss = pytest.mark.parametrize(("recipe", "batch"), EXAMPLES.values(), ids=EXAMPLES.keys())


class NoWaiting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses what a host has to wait for: numbers out of tensors, and shapes that depend on the data."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        indices = args[1] if func.overloadpacket in (torch.ops.aten.index, torch.ops.aten.index_put_) else ()
        masks = any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)
        shapeless = (
            torch.Tag.data_dependent_output in func.tags or torch.Tag.dynamic_output_shape in func.tags
        )
        if masks or (shapeless and func.overloadpacket is not torch.ops.aten.index):
            raise AssertionError(f"{func} waits for the device")
        return func(*args, **(kwargs or {}))


@pytest.fixture
def tiny_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every output is large, and its parts are a row or a class of an image."""
    monkeypatch.setattr("fusionseg.losses.base.LARGE", 0)
    monkeypatch.setattr("fusionseg.losses.parts.SHARE", 1e9)


def enlarged_labels(batch: Batch, factors: tuple[int, int]) -> Batch:
    """The batch with an output at a fraction of the size of its labels."""
    output, target, mask = batch
    for factor, axis in zip(factors, (-2, -1), strict=True):
        target = target.repeat_interleave(factor, axis)
        mask = mask.repeat_interleave(factor, axis)
    return output, target, mask


def result(loss: Loss, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sum, weight and gradient, under autocast as in a training."""
    leaf = output.detach().clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        sums, weights = sums_and_weights([loss], leaf, target, mask)
    (gradient,) = torch.autograd.grad(sums[0], leaf)
    return sums.detach(), weights, gradient


def test_every_loss_is_held_to_the_contract() -> None:
    public = {value for value in vars(losses).values() if inspect.isclass(value) and issubclass(value, Loss)}
    assert {type(recipe()) for recipe, _ in EXAMPLES.values()} == {
        kind for kind in public if not inspect.isabstract(kind)
    }


@pytest.mark.parametrize(
    "read", [Tensor.item, bool, torch.nonzero, lambda x: x[x > 0], lambda x: x[x > 0].mul_(0)]
)
def test_waiting_would_be_noticed(read: Callable[[Tensor], Any]) -> None:
    with NoWaiting(), pytest.raises(AssertionError, match="waits for the device"):  # type: ignore[no-untyped-call]
        read(torch.ones(1))


@every_loss
def test_without_labels_sum_weight_and_gradient_are_exactly_zero(
    recipe: Callable[[], Loss], batch: Callable[[int], Batch]
) -> None:
    output, target, mask = batch(0)
    output = output.float().requires_grad_()
    total, weight = recipe()(output, target, torch.zeros_like(mask))
    assert total.item() == 0
    assert weight.item() == 0
    (gradient,) = torch.autograd.grad(total, output)
    assert torch.equal(gradient, torch.zeros_like(output))


@every_loss
def test_unlabelled_pixels_neither_count_nor_learn(
    recipe: Callable[[], Loss], batch: Callable[[int], Batch]
) -> None:
    output, target, mask = batch(1)
    void = ~mask.unsqueeze(1)
    strange = output.where(~void, 1e4 * output.flip(1)).requires_grad_()
    other = target.masked_fill(void if target.ndim == 4 else ~mask, 77)
    plain, odd = recipe()(output, target, mask), recipe()(strange, other, mask)
    assert torch.equal(torch.stack(plain), torch.stack(odd))
    (gradient,) = torch.autograd.grad(odd[0], strange)
    assert gradient.isfinite().all()
    assert not gradient.where(void, 0).any()
    assert gradient.any()


@every_loss
def test_sums_and_weights_of_ranks_add_up_to_the_whole_batch(
    recipe: Callable[[], Loss], batch: Callable[[int], Batch]
) -> None:
    loss, whole = recipe(), batch(2)
    parts = [torch.stack(loss(*(x[part] for x in whole))) for part in (slice(0, 1), slice(1, 2), slice(2, 3))]
    torch.testing.assert_close(torch.stack(parts).sum(0), torch.stack(loss(*whole)), rtol=1e-12, atol=1e-12)


@every_loss
def test_gradient_is_that_of_finite_differences(
    recipe: Callable[[], Loss], batch: Callable[[int], Batch]
) -> None:
    output, target, mask = batch(3)
    loss = recipe()
    assert torch.autograd.gradcheck(lambda x: loss(x, target, mask)[0], output.requires_grad_())


@every_loss
def test_autocast_changes_nothing_but_the_input(
    recipe: Callable[[], Loss], batch: Callable[[int], Batch]
) -> None:
    output, target, mask = batch(4)
    output = output.bfloat16()
    full = recipe()(output.float(), target, mask)
    with torch.autocast("cpu", torch.bfloat16):
        half = recipe()(output, target, mask)
    assert [x.dtype for x in half] == [torch.float32] * 2
    assert [x.shape for x in half] == [()] * 2
    assert torch.equal(torch.stack(half), torch.stack(full))


@every_loss
def test_extreme_outputs_have_finite_losses_and_gradients(
    recipe: Callable[[], Loss], batch: Callable[[int], Batch]
) -> None:
    output, target, mask = batch(5)
    output = (output.sign() * 1e4).float().requires_grad_()
    total, _ = recipe()(output, target, mask)
    assert total.isfinite()
    assert torch.autograd.grad(total, output)[0].isfinite().all()


@every_loss
def test_neither_loss_nor_gradient_waits_for_the_device(
    recipe: Callable[[], Loss], batch: Callable[[int], Batch]
) -> None:
    loss = recipe()
    output, target, mask = batch(6)
    loss(output, target, mask)  # external losses are tried on the CPU before their first use
    output.requires_grad_()
    with NoWaiting():  # type: ignore[no-untyped-call]
        total, _ = loss(output, target, mask)
        total.backward()


@pytest.mark.filterwarnings("ignore:.* holds the enlarged output")
@pytest.mark.parametrize("factors", [(1, 1), (2, 4), (3, 1)])
@every_loss
def test_in_parts_a_loss_is_that_of_the_enlarged_output(
    recipe: Callable[[], Loss], batch: Callable[[int], Batch], factors: tuple[int, int], tiny_parts: None
) -> None:
    output, target, mask = enlarged_labels(batch(7), factors)
    found = result(recipe(), output, target, mask)
    leaf = output.clone().requires_grad_()
    total, weight = recipe()(scaled(leaf, mask.shape[1:]), target, mask)
    (gradient,) = torch.autograd.grad(total, leaf)
    torch.testing.assert_close(found, (total[None], weight[None], gradient), rtol=1e-10, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.* holds the enlarged output")
@every_loss
def test_in_parts_half_precision_is_enlarged_as_a_whole_output_is(
    recipe: Callable[[], Loss], batch: Callable[[int], Batch], tiny_parts: None
) -> None:
    output, target, mask = enlarged_labels(batch(8), (4, 4))
    output = output.bfloat16()
    total, _, gradient = result(recipe(), output, target, mask)
    leaf = output.clone().requires_grad_()
    expected, _ = recipe()(scaled(leaf, mask.shape[1:]), target, mask)
    torch.testing.assert_close(total[0], expected, rtol=1e-5, atol=1e-5)
    (whole,) = torch.autograd.grad(expected, leaf)
    assert gradient.dtype == torch.bfloat16
    # a row is the sum of three strips, each rounded to 8 bits, and so is the sum
    bound = 2**-6 * whole.abs().max().item()
    torch.testing.assert_close(gradient, whole, rtol=0, atol=bound)


@pytest.mark.filterwarnings("ignore:.* holds the enlarged output")
@every_loss
def test_in_parts_no_loss_waits_for_the_device_or_counts_what_is_unlabelled(
    recipe: Callable[[], Loss], batch: Callable[[int], Batch], tiny_parts: None
) -> None:
    loss = recipe()
    output, target, mask = enlarged_labels(batch(9), (2, 2))
    result(loss, output, target, mask)
    with NoWaiting():  # type: ignore[no-untyped-call]
        total, weight, gradient = result(loss, output, target, torch.zeros_like(mask))
    assert not total.any()
    assert not weight.any()
    assert not gradient.any()


@pytest.mark.parametrize("mask", [torch.ones(2, 3, 4), torch.ones(2, 4, 3, dtype=torch.bool)])
def test_a_mask_of_another_kind_or_size_is_refused(mask: Tensor) -> None:
    with pytest.raises(ValueError, match=r"bool mask \(B, H, W\).*resize the output"):
        CrossEntropy()(torch.zeros(2, 5, 3, 4), torch.zeros(2, 3, 4, dtype=torch.long), mask)
