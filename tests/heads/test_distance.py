import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from fusionseg.engine.predictions import padded
from fusionseg.heads.distance import DistanceHead, distances
from fusionseg.losses import Loss, MeanSquaredError
from fusionseg.sample import Frame, Sample

Scenes = Callable[..., Sample]


def slow_distances(region: Tensor, reach: int) -> Tensor:
    """The distances (H, W) of a region map (H, W), pixel by pixel."""
    found = torch.zeros(region.shape)
    for row, column in (region > 0).nonzero().tolist():
        outside = (region != region[row, column]).nonzero()
        squares = (outside - torch.tensor([row, column])).square().sum(1).tolist()
        found[row, column] = min([reach, *map(math.sqrt, squares)])
    return found


def decoded(region: Tensor, size: tuple[int, int] | None = None, **arguments: Any) -> Tensor:
    """The regions of an ideal output for a region map (1, H, W), at its size or another one."""
    head = DistanceHead(4, **arguments)
    shape = tuple(region.shape[1:])
    return head.labels(head.ideal(head.target({"region": region})), Frame(shape, shape, size or shape))


def stripes(*widths: int, height: int = 40) -> Tensor:
    """Upright stripes (1, H, sum of widths), numbered from 1."""
    ids = torch.arange(1, len(widths) + 1).repeat_interleave(torch.tensor(widths))
    return ids.expand(1, height, -1).clone()


def lobes(neck: int) -> Tensor:
    """One region of two squares of 20 x 20 pixels and a neck of some width between them, in another one."""
    region = torch.full((1, 32, 64), 9)
    region[:, 6:26, 6:26] = 5
    region[:, 6:26, 38:58] = 5
    region[:, 10 : 10 + neck, 20:40] = 5
    return region


@pytest.mark.parametrize("reach", [1, 2, 5, 16, 33])
def test_target_is_the_distance_to_the_nearest_pixel_outside_of_the_region(
    reach: int, scenes: Scenes
) -> None:
    region = scenes(2, (24, 36))["region"]
    region[0, 3:9, 10:13] = 0
    region[1, :, 20:] = 65535
    expected = torch.stack([slow_distances(image, reach) for image in region])
    torch.testing.assert_close(distances(region, reach), expected)


@pytest.mark.parametrize("size", [(1, 30), (30, 1), (1, 1), (3, 7)])
def test_images_may_be_smaller_than_the_reach(size: tuple[int, int]) -> None:
    region = torch.randint(0, 3, (1, *size))
    torch.testing.assert_close(distances(region, 16)[0], slow_distances(region[0], 16))


def test_target_is_a_share_of_the_reach_and_0_where_unlabelled() -> None:
    region = stripes(8, 6)
    region[:, 30:] = 0
    energy, mask = DistanceHead(4, reach=10).target({"region": region})
    assert torch.equal(mask, region > 0)
    torch.testing.assert_close(energy[0, 0], slow_distances(region[0], 10) / 10)


def test_the_rim_of_the_image_is_no_outline() -> None:
    energy, _ = DistanceHead(4).target({"region": torch.full((1, 20, 30), 3)})
    assert torch.equal(energy, torch.ones(1, 1, 20, 30))


def test_neither_is_the_rim_of_an_image_that_was_extended() -> None:
    batch = {"image": torch.zeros(1, 3, 40, 50, dtype=torch.uint8), "region": torch.full((1, 40, 50), 3)}
    energy, mask = DistanceHead(4).target(padded(batch))
    assert energy.shape == (1, 1, 64, 64)
    assert mask.sum() == 40 * 50
    assert torch.equal(energy[0, 0] == 1, mask[0])
    assert torch.equal(energy[0, 0] == 0, ~mask[0])


def test_loss_is_the_absolute_error_of_the_share_over_labelled_pixels() -> None:
    region = stripes(8, 6, height=32)
    region[:, 24:] = 0
    output = torch.randn(1, 1, 16, 7)
    head = DistanceHead(4, reach=8)
    (total,), (weight,) = head.loss(output, head.target({"region": region}))
    enlarged = interpolate(output, (32, 14), mode="bilinear")[0, 0]
    error = (enlarged - slow_distances(region[0], 8) / 8).abs()
    torch.testing.assert_close(total, error[:24].sum())
    assert weight == 24 * 14


@pytest.mark.parametrize(("recipe", "power"), [(MeanSquaredError, 2)])
def test_the_loss_is_a_recipe(recipe: Callable[[], Loss], power: int) -> None:
    region = stripes(8, 6)
    output = torch.randn(1, 1, 40, 14)
    head = DistanceHead(4, recipe)
    (total,), _ = head.loss(output, head.target({"region": region}))
    error = output[0, 0] - slow_distances(region[0], 16) / 16
    torch.testing.assert_close(total, error.abs().pow(power).sum())


@pytest.mark.parametrize(("neck", "parts"), [(6, 2), (7, 1), (12, 1)])
def test_lobes_are_one_region_if_their_neck_reaches_the_seed_level(neck: int, parts: int) -> None:
    found = decoded(lobes(neck), seed=4.0)
    assert len(found.unique()) == parts + 1
    assert (found[0, 16, 16] == found[0, 16, 48]) == (parts == 1)


def test_a_neck_is_divided_among_its_own_lobes_whatever_is_nearer() -> None:
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(84), indexing="ij")
    lobe = ((rows - 20) ** 2 + (columns - 20) ** 2 <= 81) | ((rows - 20) ** 2 + (columns - 62) ** 2 <= 81)
    neck = ((rows - 20).abs() <= 1) & (columns > 20) & (columns < 62)
    region = torch.where(lobe | neck, 2, 1)[None]
    found = decoded(region, seed=4.0)
    inner = distances(region, 16) >= 2
    assert len(found.unique()) == 3
    # pixels below all levels join what is nearest
    assert torch.equal((found == found[0, 0, 0])[inner], (region == 1)[inner])


def test_a_lower_seed_level_keeps_narrower_necks() -> None:
    assert len(decoded(lobes(5), seed=4.0).unique()) == 3
    assert len(decoded(lobes(5), seed=3.0).unique()) == 2


@pytest.mark.parametrize("thin", [3, 4, 5, 6])
def test_thin_regions_below_the_seed_level_survive(thin: int) -> None:
    region = stripes(20, thin, 20)
    found = decoded(region, seed=6.0)
    pairs = torch.unique(torch.stack([region, found]).flatten(1), dim=1)
    assert pairs.shape[1] == 3
    # a single cut at this level, as in the paper, loses the region in the middle
    assert not (distances(region, 16)[region == 2] >= 6).any()


def test_connected_pixels_become_a_region_from_min_area_on_at_the_size_of_the_file() -> None:
    output = torch.full((1, 1, 32, 32), 0.01)
    output[..., 2:10, :] = 1.0
    output[..., 20:23, 4:7] = 1.0
    for size, area, regions in ((32, 9, 2), (32, 10, 1), (64, 30, 2), (64, 70, 1)):
        frame = Frame((32, 32), (32, 32), (size, size))
        assert DistanceHead(4, min_area=area).labels(output, frame).unique().numel() == regions


def test_pixels_below_all_levels_join_the_nearest_region() -> None:
    output = torch.zeros(1, 1, 10, 30)
    output[..., :5] = 1.0
    output[..., 25:] = 1.0
    labels = DistanceHead(4).labels(output, Frame.whole((10, 30)))
    assert torch.equal(labels, stripes(15, 15, height=10))


@pytest.mark.parametrize("value", [0.0, -3.0, math.nan])
def test_without_any_seed_all_is_one_region(value: float) -> None:
    labels = DistanceHead(4).labels(torch.full((1, 1, 8, 8), value), Frame.whole((8, 8)))
    assert torch.equal(labels, torch.ones(1, 8, 8, dtype=torch.long))


def test_void_connects_no_regions() -> None:
    region = stripes(12, 10, 12)
    region[region == 2] = 0
    region[:, 18:22] = 0
    found = decoded(region)
    labelled = region > 0
    pairs = torch.unique(torch.stack([region[labelled], found[labelled]]), dim=1)
    assert pairs[0].tolist() == [1, 1, 3, 3]
    assert pairs[1].unique().numel() == 4


@pytest.mark.parametrize("size", [(40, 46), (80, 92), (120, 46), (20, 46)])
def test_levels_are_pixels_of_the_input_whatever_the_size_of_the_file(size: tuple[int, int]) -> None:
    found = decoded(stripes(20, 6, 20), size)
    expected = interpolate(stripes(20, 6, 20)[:, None].double(), size, mode="nearest")[:, 0].long()
    assert torch.equal(found.unique(), torch.tensor([1, 2, 3]))
    numbers = {int(expected[0, 0, c]): int(found[0, 0, c]) for c in (0, size[1] // 2, size[1] - 1)}
    wanted = torch.tensor([numbers[i] for i in expected.flatten().tolist()]).view_as(expected)
    assert (found == wanted).float().mean() > 0.95


@pytest.mark.parametrize(("rows", "columns", "side"), [(20, 20, 12), (25, 48, 6)])
def test_an_ideal_output_gives_every_region_however_many(rows: int, columns: int, side: int) -> None:
    ids = torch.arange(1, rows * columns + 1).view(1, rows, columns)
    region = ids.repeat_interleave(side, 1).repeat_interleave(side, 2)
    found = decoded(region, min_area=4)
    pairs = torch.unique(torch.stack([region, found]).flatten(1), dim=1)
    assert pairs.shape[1] == len(found.unique()) == rows * columns


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reach": 1}, r"reach in 2\.\.128, found 1"),
        ({"reach": 129}, r"reach in 2\.\.128, found 129"),
        ({"seed": 1.0}, r"seed in \[1\.2, 16\), found 1\.0"),
        ({"seed": 8.0, "reach": 8}, r"seed in \[1\.2, 8\), found 8\.0"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DistanceHead(4, **arguments)
