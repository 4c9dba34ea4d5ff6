from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import interpolate

from fusionseg.heads import AffinityHead
from fusionseg.losses import CrossEntropy, Dice, Focal, Loss
from fusionseg.sample import Frame

NEIGHBORS = [(0, 1), (1, 0)]


def squares(rows: int, columns: int, side: int) -> Tensor:
    """Square regions (1, rows * side, columns * side), numbered from 1."""
    ids = torch.arange(1, rows * columns + 1).view(1, rows, columns)
    return ids.repeat_interleave(side, 1).repeat_interleave(side, 2)


@pytest.fixture
def halves() -> Tensor:
    """Two regions side by side."""
    return squares(1, 2, 32)


@pytest.fixture
def region() -> Tensor:
    """Two images of four regions, with ids up to the largest, and void."""
    ids = torch.tensor([0, 1, 40000, 65535])
    return ids[torch.randint(4, (2, 4, 5))].repeat_interleave(3, 1).repeat_interleave(4, 2)


def decoded(head: AffinityHead, region: Tensor) -> Tensor:
    return head.labels(head.ideal(head.target({"region": region})), Frame.whole(region.shape[1:]))


def test_target_is_whether_both_ends_are_of_one_region_and_both_are_labelled(region: Tensor) -> None:
    offsets = [*NEIGHBORS, (2, 3), (5, -4), (0, 19), (12, 0)]
    same, mask = AffinityHead(4, offsets=offsets).target({"region": region})
    for image, (k, (down, right)), y, x in product(range(2), enumerate(offsets), range(12), range(20)):
        inside = y + down < 12 and 0 <= x + right < 20
        near = region[image, y, x]
        far = region[image, y + down, x + right] if inside else torch.tensor(0)
        labelled = bool(near > 0 and far > 0)
        assert mask[image, k, y, x] == labelled
        assert (same & mask)[image, k, y, x] == (labelled and near == far)
    assert not mask[:, -1].any()


def test_loss_is_the_mean_over_reaches_of_balanced_cross_entropies(region: Tensor) -> None:
    head = AffinityHead(4, offsets=[*NEIGHBORS, (0, 3), (3, -1), (12, 0)])
    output, target = torch.randn(2, 5, 6, 10), head.target({"region": region})
    logits = interpolate(output, (12, 20), mode="bilinear")
    expected = torch.zeros(2, 3, dtype=torch.float64)
    for image, (k, reach) in product(range(2), enumerate((0, 0, 1, 1, 2))):
        same, mask = (maps[image, k] for maps in target)
        share = same[mask].double().mean()
        for logit, one in zip(logits[image, k][mask], same[mask].float(), strict=True):
            weight = 1 - share if one else share
            expected[:, reach] += torch.stack([weight * bce(logit, one) / 3, weight])
    torch.testing.assert_close(torch.stack(head.loss(output, target)), expected.float())
    assert not expected[:, 2].any()


@pytest.mark.parametrize("recipe", [CrossEntropy, lambda: Focal(gamma=0)])
def test_losses_of_classes_take_the_same_region_for_class_1(
    recipe: Callable[[], Loss], region: Tensor
) -> None:
    head, output = AffinityHead(4, recipe, offsets=NEIGHBORS), torch.randn(2, 2, 12, 20)
    same, mask = head.target({"region": region})
    (total,), (weight,) = head.loss(output, (same, mask))
    torch.testing.assert_close(total, bce(output[mask], same[mask].float(), reduction="sum"))
    assert weight == mask.sum()


def test_losses_of_images_count_every_map_as_one(region: Tensor) -> None:
    head = AffinityHead(4, Dice, offsets=[*NEIGHBORS, (0, 3), (0, 9)])
    _, weights = head.loss(torch.randn(2, 4, 12, 20), head.target({"region": region}))
    assert weights.tolist() == [4, 2, 2]


@pytest.mark.parametrize("size", [(32, 64), (96, 192), (16, 32), (32, 128), (50, 70)])
def test_regions_keep_their_places_at_any_size(size: tuple[int, int]) -> None:
    region = squares(2, 4, 16)
    head = AffinityHead(4)
    labels = head.labels(head.ideal(head.target({"region": region})), Frame((32, 64), (32, 64), size))
    rows, columns = (((torch.arange(n) + 0.5) / n * m).long() for n, m in zip(size, (32, 64), strict=True))
    assert torch.equal(labels, region[:, rows][..., columns])


@pytest.mark.parametrize(("rows", "columns", "side"), [(20, 20, 12), (20, 20, 6), (25, 48, 4)])
def test_an_ideal_output_gives_every_region_however_many(rows: int, columns: int, side: int) -> None:
    region = squares(rows, columns, side)
    found = decoded(AffinityHead(4, min_area=1), region)
    pairs = torch.unique(torch.stack([region, found]).flatten(1), dim=1)
    assert pairs.shape[1] == len(found.unique()) == rows * columns


@pytest.mark.parametrize(("width", "parts"), [(5, 1), (6, 1), (9, 2), (12, 2)])
def test_parts_of_a_region_are_joined_if_an_edge_spans_what_hides_its_middle(width: int, parts: int) -> None:
    region = torch.ones(1, 32, 64, dtype=torch.long)
    region[..., 24 : 24 + width] = 2
    found = decoded(AffinityHead(4, offsets=[*NEIGHBORS, (0, 9), (9, 0)]), region)
    assert found[region == 1].unique().numel() == parts
    assert found[region == 2].unique().numel() == 1


def test_void_connects_no_regions(halves: Tensor) -> None:
    void = halves.clone()
    void[..., 28:36] = 0
    found = decoded(AffinityHead(4), void)
    assert (found == halves).float().mean() > 0.98


def test_void_divides_no_region(halves: Tensor) -> None:
    halves[..., 28:36] = 0
    halves[halves > 0] = 5
    assert decoded(AffinityHead(4), halves).unique().tolist() == [1]


@pytest.mark.parametrize("cell", [8, 16])
def test_a_leak_between_neighbors_costs_no_more_than_a_cell(cell: int) -> None:
    region = torch.ones(1, 32, 64, dtype=torch.long)
    region[..., 36:] = 2
    head, frame = AffinityHead(4, cell=cell), Frame.whole((32, 64))
    output = head.ideal(head.target({"region": region}))
    output[:, 0, 10:13, 35] = 20.0
    assert 0 < (head.labels(output, frame) != region).sum() <= cell**2 / 2
    neighbors = AffinityHead(4, offsets=NEIGHBORS, cell=64)
    assert neighbors.labels(output[:, :2], frame).unique().tolist() == [1]


def test_a_gap_between_neighbors_is_closed_by_long_edges(halves: Tensor) -> None:
    head = AffinityHead(4)
    output = head.ideal(head.target({"region": torch.ones_like(halves)}))
    output[:, 0, :, 30] = -20.0
    assert head.labels(output, Frame.whole((32, 64))).unique().tolist() == [1]


@pytest.mark.parametrize(("threshold", "regions"), [(0.3, 1), (0.5, 2)])
def test_affinities_above_the_threshold_attract(threshold: float, regions: int, halves: Tensor) -> None:
    head = AffinityHead(4, threshold=threshold)
    output = head.ideal(head.target({"region": halves})).clamp_min(torch.tensor(0.4).logit())
    assert head.labels(output, Frame.whole((32, 64))).max() == regions


def test_small_regions_are_those_of_few_pixels_in_the_file(halves: Tensor) -> None:
    halves[:, 10:13, 10:13] = 9
    head = AffinityHead(4, min_area=20)
    output = head.ideal(head.target({"region": halves}))
    counts = [head.labels(output, Frame((32, 64), (32, 64), size)).max() for size in ((32, 64), (64, 128))]
    assert counts == [2, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"offsets": [(0, 1), (0, 3)]}, r"expected offsets \(0, 1\), \(1, 0\), found"),
        ({"offsets": [*NEIGHBORS, (0, 3), (0, 3)]}, "different offsets"),
        ({"offsets": [*NEIGHBORS, (0, 0)]}, "different offsets down or, within a row, to the right"),
        ({"offsets": [*NEIGHBORS, (0, -3)]}, r"found .*\(0, -3\)"),
        ({"offsets": [*NEIGHBORS, (-3, 3)]}, r"found .*\(-3, 3\)"),
        ({"threshold": 0.0}, r"threshold in \(0, 1\), found 0.0"),
        ({"threshold": 1.0}, r"threshold in \(0, 1\), found 1.0"),
        ({"cell": 1}, "cells of at least 2 pixels, found 1"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AffinityHead(4, **arguments)
