import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fusionseg.heads.region_targets import (
    _spread,
    _stamped,
    boundaries,
    center_heatmap,
    center_offsets,
    centroids,
)


def maps(seed: int = 0, regions: int = 6) -> Tensor:
    """Blocky region maps (2, 18, 23) with void, large ids and ids that both images use."""
    chance = torch.Generator().manual_seed(seed)
    ids = torch.tensor([0, 1, 7, 300, 65535, 12])[torch.randint(regions, (2, 6, 8), generator=chance)]
    return ids.repeat_interleave(3, 1).repeat_interleave(3, 2)[:, :, :23].contiguous()


def touching(region: Tensor) -> Tensor:
    found = torch.zeros(region.shape, dtype=torch.bool)
    _, height, width = region.shape
    for b, y, x in region.nonzero().tolist():
        near = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        others = [region[b, v, u].item() for v, u in near if 0 <= v < height and 0 <= u < width]
        found[b, y, x] = any(other not in (0, region[b, y, x].item()) for other in others)
    return found


def offset_map(region: Tensor) -> Tensor:
    """The offsets of the regions' own centers."""
    return center_offsets(region, centroids(region)[0])


def heatmap(region: Tensor, sigma: float = 8.0) -> Tensor:
    """The heat of the regions' own centers."""
    return center_heatmap(region.shape[1:], *centroids(region), sigma)


def test_boundaries_are_pixels_with_a_neighbor_of_another_region() -> None:
    region = maps()
    assert torch.equal(boundaries(region), touching(region))


@pytest.mark.parametrize("width", [4, 6])
def test_wider_boundaries_grow_by_a_pixel_on_each_side_but_not_into_void(width: int) -> None:
    region = maps(1)
    grown, reach = touching(region), width // 2 - 1
    for b, y, x in grown.nonzero().tolist():
        grown[b, max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1] = True
    assert torch.equal(boundaries(region, width), grown & (region > 0))


def test_a_straight_boundary_is_as_thick_as_asked() -> None:
    region = torch.ones(1, 9, 20, dtype=torch.long)
    region[..., 10:] = 2
    for width in (2, 4, 8):
        assert (boundaries(region, width).sum(-1) == width).all()


@pytest.mark.parametrize("width", [0, 1, 3])
def test_a_boundary_with_unequal_sides_is_refused(width: int) -> None:
    with pytest.raises(ValueError, match=f"expected width 2, 4, 6 ..., found {width}"):
        boundaries(maps(), width)


def test_centroids_are_mean_coordinates() -> None:
    region = maps(2)
    centers, counts = centroids(region)
    assert centers.shape == (2, 65536, 2)
    assert counts.sum() == (region > 0).sum()
    for image, ids in enumerate(region):
        for i in ids.unique().tolist():
            points = (ids == i).nonzero().double()
            expected = (points.mean(0), len(points)) if i else (torch.zeros(2), 0)
            torch.testing.assert_close(centers[image, i], expected[0].float())
            assert counts[image, i] == expected[1]


def test_region_ids_may_be_of_fewer_bits() -> None:
    region = maps(3)
    for target in (boundaries, offset_map, heatmap):
        assert torch.equal(target(region.int()), target(region))


def test_centroids_take_the_number_of_regions_from_the_caller() -> None:
    region = maps().clamp(max=12)
    centers, counts = centroids(region, 13)
    assert torch.equal(centers, centroids(region)[0][:, :13])
    assert torch.equal(counts, centroids(region)[1][:, :13])


def test_offsets_lead_to_the_center_of_the_own_region() -> None:
    region = maps(3)
    offsets = offset_map(region)
    assert offsets.dtype == torch.float32
    for b in range(2):
        for y in range(18):
            for x in range(23):
                own = region[b, y, x]
                way = (
                    (region[b] == own).nonzero().float().mean(0) - torch.tensor([y, x])
                    if own
                    else torch.zeros(2)
                )
                torch.testing.assert_close(offsets[b, :, y, x], way, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.5, 2.0, 30.0])
def test_heat_is_the_gaussian_of_the_nearest_center_cut_at_three_sigma(sigma: float) -> None:
    region = maps(4)
    expected = torch.zeros(2, 1, 18, 23)
    for b, ids in enumerate(region):
        for i in set(ids.unique().tolist()) - {0}:
            row, column = (ids == i).nonzero().float().mean(0).round().tolist()
            for y in range(18):
                for x in range(23):
                    if max(abs(y - row), abs(x - column)) <= 3 * sigma:
                        heat = math.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))
                        expected[b, 0, y, x] = max(expected[b, 0, y, x].item(), heat)
    torch.testing.assert_close(heatmap(region, sigma), expected, rtol=1e-5, atol=1e-7)


def test_a_sigma_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="sigma must be positive, found 0"):
        heatmap(maps(), 0)


@pytest.mark.parametrize("target", [boundaries, offset_map, heatmap])
def test_an_unlabelled_image_has_empty_targets(target: Callable[[Tensor], Tensor]) -> None:
    assert not target(torch.zeros(2, 7, 9, dtype=torch.long)).any()


@pytest.mark.parametrize("target", [boundaries, offset_map, heatmap])
def test_images_of_a_batch_do_not_see_each_other(target: Callable[[Tensor], Tensor]) -> None:
    region = maps(5)
    assert torch.equal(target(region), torch.cat([target(region[:1]), target(region[1:])]))


@pytest.mark.parametrize("target", [boundaries, offset_map, heatmap])
def test_no_target_depends_on_the_data_in_shape_or_kind(target: Callable[[Tensor], Tensor]) -> None:
    """Meta tensors have no values: whatever reads one, as a host waiting for its device does, fails on them."""
    region = maps(6)
    found, expected = target(region.to("meta")), target(region)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)


@pytest.mark.parametrize("regions", [2, 300])
@pytest.mark.parametrize("reach", [1, 5, 24])
def test_few_centers_have_the_squares_of_many(reach: int, regions: int) -> None:
    chance = torch.Generator().manual_seed(regions)
    places = torch.stack([torch.randint(size, (2, regions), generator=chance) for size in (18, 23)], dim=-1)
    counts = torch.randint(2, (2, regions), generator=chance)
    few = _stamped((18, 23), places.numpy(), counts.numpy(), reach)
    many = _spread((18, 23), places, counts, reach)
    assert torch.equal(torch.from_numpy(few).long(), many.long())
    assert (many == 0).any()
