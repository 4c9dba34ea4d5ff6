from itertools import permutations
from typing import Any

import pytest
import torch
from torch import Tensor

from fusionseg.losses import Discriminative

Batch = tuple[Tensor, Tensor, Tensor]


def slow(embeddings: Tensor, region: Tensor, mask: Tensor, **options: Any) -> float:
    """The loss of one image (E, H, W) by equations 1 to 4, pixel by pixel."""
    delta_v, delta_d = options.get("delta_v", 0.5), options.get("delta_d", 1.5)
    pixels: dict[int, list[Tensor]] = {}
    for y, x in mask.nonzero().tolist():
        pixels.setdefault(int(region[y, x]), []).append(embeddings[:, y, x])
    means = {c: torch.stack(own).mean(0) for c, own in pixels.items()}
    variance = 0.0
    for c, own in pixels.items():
        hinges = [max(0.0, (means[c] - x).norm().item() - delta_v) ** 2 for x in own]
        variance += sum(hinges) / len(own) / len(pixels)
    largest = sorted(pixels, key=lambda c: -len(pixels[c]))[: options.get("max_regions", 256)]
    distance = 0.0
    for a, b in permutations(largest, 2):
        hinge = max(0.0, 2 * delta_d - (means[a] - means[b]).norm().item())
        distance += hinge**2 / len(largest) / (len(largest) - 1)
    regularization = sum(mean.norm().item() for mean in means.values()) / len(means)
    alpha, beta, gamma = (options.get(k, v) for k, v in (("alpha", 1.0), ("beta", 1.0), ("gamma", 0.001)))
    return float(alpha * variance + beta * distance + gamma * regularization)


@pytest.fixture
def batch() -> Batch:
    """Three images of up to five regions, one of them with the largest id, and void; the second is all void."""
    chance = torch.Generator().manual_seed(0)
    ids = torch.tensor([3, 700, 1, 65535, 20])
    region = ids[torch.randint(5, (3, 6, 7), generator=chance)]
    region[0, :3] = 700  # so that no two regions are of one size
    region[0, 3, :4] = 3
    region[0, 4, :2] = 1
    mask = torch.rand(3, 6, 7, generator=chance) > 0.2
    mask[1] = False
    return torch.randn(3, 4, 6, 7, generator=chance).double(), region.where(mask, 0), mask


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"delta_v": 1.2, "delta_d": 0.9},
        {"alpha": 0.0, "beta": 3.0},
        {"beta": 0.0, "gamma": 0.5},
        {"alpha": 2.0, "beta": 0.0, "gamma": 0.0},
    ],
)
def test_the_loss_is_that_of_the_paper_s_equations(options: dict[str, Any], batch: Batch) -> None:
    total, weight = Discriminative(**options)(*batch)
    expected = sum(slow(*(x[image] for x in batch), **options) for image in (0, 2))
    assert total.item() == pytest.approx(expected)
    assert weight.item() == 2


@pytest.mark.parametrize("number", [2, 3])
def test_only_pairs_of_the_largest_regions_are_pushed(number: int, batch: Batch) -> None:
    first: Any = [x[:1] for x in batch]
    sizes = first[1][first[2]].unique(return_counts=True)[1].tolist()
    assert len(set(sizes)) == len(sizes) > number
    total, _ = Discriminative(beta=2.0, max_regions=number)(*first)
    expected = slow(*(x[0] for x in batch), beta=2.0, max_regions=number)
    assert total.item() == pytest.approx(expected)
    assert total.item() != pytest.approx(slow(*(x[0] for x in batch), beta=2.0))


def test_compact_regions_far_from_each_other_cost_nothing_but_their_length() -> None:
    region = torch.ones(1, 4, 6, dtype=torch.long)
    region[..., 3:] = 9
    output = torch.zeros(1, 2, 4, 6)
    output[:, 0] = torch.where(region == 1, -1.5, 1.5)
    output[:, 1, ::2] = 0.5
    output[:, 1, 1::2] = -0.5
    total, _ = Discriminative(gamma=0.1)(output, region, region > 0)
    assert total.item() == pytest.approx(0.1 * 1.5)


def test_a_single_region_is_not_pushed(batch: Batch) -> None:
    output, region, mask = batch
    one = region.where(region == 0, 5)
    total, _ = Discriminative(alpha=0.0, beta=1.0, gamma=0.0)(output, one, mask)
    assert total.item() == 0


def test_more_regions_than_a_table_of_the_largest_has_are_pulled() -> None:
    region = torch.arange(1, 401).view(1, 20, 20).repeat_interleave(2, 1).repeat_interleave(2, 2)
    output = torch.zeros(1, 2, 40, 40)
    output[..., ::2] = 1.0
    total, _ = Discriminative(delta_v=0.1, beta=0.0, gamma=0.0, max_regions=2)(output, region, region > 0)
    assert total.item() == pytest.approx((0.5**0.5 - 0.1) ** 2)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_equal_embeddings_have_a_finite_gradient(value: float, batch: Batch) -> None:
    output = torch.full_like(batch[0], value, requires_grad=True)
    total, _ = Discriminative()(output, *batch[1:])
    assert total.item() == pytest.approx(2 * (9 + 0.001 * value * 2))
    assert torch.autograd.grad(total, output)[0].isfinite().all()


def test_gradient_steps_separate_regions(batch: Batch) -> None:
    output, region, mask = batch
    loss = Discriminative(gamma=0.0)
    for _ in range(120):
        leaf = output.clone().requires_grad_()
        total, _ = loss(leaf, region, mask)
        output = output - 3.0 * torch.autograd.grad(total, leaf)[0]
    pixels, ids = output[0][:, mask[0]].T, region[0][mask[0]]
    distances = torch.cdist(pixels, pixels)
    same = ids[:, None] == ids
    assert distances[same].max() < 1.2
    assert distances[~same].min() > 1.7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"delta_v": 0.0}, "positive margins, found delta_v 0.0 and delta_d 1.5"),
        ({"delta_d": -1.0}, "positive margins, found delta_v 0.5 and delta_d -1.0"),
        ({"alpha": -1.0}, "factors of at least 0, found -1.0, 1.0 and 0.001"),
        ({"gamma": -0.1}, "factors of at least 0, found 1.0, 1.0 and -0.1"),
        ({"max_regions": 1}, r"max_regions in 2\.\.65536, found 1"),
        ({"max_regions": 65537}, r"max_regions in 2\.\.65536, found 65537"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Discriminative(**arguments)
