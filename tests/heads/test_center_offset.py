from typing import Any

import pytest
import torch
from torch import Tensor

from fusionseg.heads import CenterOffsetHead
from fusionseg.heads.center_offset import CenterTarget
from fusionseg.sample import Frame


@pytest.fixture
def region() -> Tensor:
    """Two regions: a block of 10 x 20 from the top left, and what is right of it; the rest is void."""
    region = torch.zeros(1, 32, 64, dtype=torch.long)
    region[:, :10, :20] = 5
    region[:, :10, 20:] = 900
    return region


def test_target_points_at_the_mean_pixel_of_the_own_region(region: Tensor) -> None:
    heat, offset, mask = CenterOffsetHead(4, sigma=3.0).target({"region": region})
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(64.0), indexing="ij")
    for label in (5, 900):
        inside = region[0] == label
        row, column = rows[inside].mean(), columns[inside].mean()
        torch.testing.assert_close(
            offset[0, :, inside], torch.stack([row - rows, column - columns])[:, inside]
        )
        assert heat[0, 0, row.round().long(), column.round().long()] == 1
    assert torch.equal(mask, region > 0)
    assert not offset[0, :, ~mask[0]].any()


def test_loss_is_the_weighed_error_of_heat_and_of_pixels(region: Tensor) -> None:
    head, output = CenterOffsetHead(4, center_weight=3.0, offset_weight=0.5), torch.randn(1, 3, 32, 64)
    target = head.target({"region": region})
    sums, weights = head.loss(output, target)
    mask = region[0] > 0
    heat = (output[0, 0].sigmoid() - target.heat[0, 0])[mask].square().sum()
    way = (output[0, 1:] * 32 - target.offset[0])[:, mask].abs().sum()
    torch.testing.assert_close(sums, torch.stack([3.0 * heat, 0.5 * way]))
    assert weights.tolist() == [mask.sum(), mask.sum()]


@pytest.mark.parametrize("size", [(32, 64), (96, 192), (16, 32), (32, 128)])
def test_pixels_find_their_centers_at_any_size(region: Tensor, size: tuple[int, int]) -> None:
    head = CenterOffsetHead(4)
    region[:, 10:] = 17
    labels = head.labels(head.ideal(head.target({"region": region})), Frame((32, 64), (32, 64), size))
    places = [(0.1, 0.1), (0.1, 0.8), (0.8, 0.5)]
    found = [labels[0, int(y * size[0]), int(x * size[1])].item() for y, x in places]
    assert sorted(found) == [1, 2, 3]
    assert [(labels == label).float().mean().item() for label in found] == pytest.approx(
        [0.1, 0.22, 0.69], abs=0.05
    )


def test_centers_below_the_threshold_are_ignored() -> None:
    heat = torch.full((1, 1, 16, 32), 0.01)
    heat[..., 8, 8], heat[..., 8, 24] = 0.9, 0.3
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(32.0), indexing="ij")
    offset = torch.stack([8 - rows, torch.where(columns < 16, 8, 24) - columns])[None]
    target = CenterTarget(heat, offset, torch.ones(1, 16, 32, dtype=torch.bool))
    frame = Frame.whole((16, 32))
    for threshold, regions in ((0.2, 2), (0.5, 1)):
        head = CenterOffsetHead(4, threshold=threshold)
        assert head.labels(head.ideal(target), frame).max() == regions


def squares(rows: int, columns: int, side: int) -> Tensor:
    """Square regions (1, rows * side, columns * side), numbered from 1."""
    ids = torch.arange(1, rows * columns + 1).view(1, rows, columns)
    return ids.repeat_interleave(side, 1).repeat_interleave(side, 2)


@pytest.mark.parametrize(("side", "kernel"), [(12, 7), (6, 5), (3, 3)])
@pytest.mark.parametrize(("rows", "columns"), [(20, 20), (25, 48)])
def test_an_ideal_output_gives_every_region_however_many(
    rows: int, columns: int, side: int, kernel: int
) -> None:
    region = squares(rows, columns, side)
    head = CenterOffsetHead(4, sigma=side / 6, kernel=kernel)
    found = head.labels(head.ideal(head.target({"region": region})), Frame.whole(region.shape[1:]))
    pairs = torch.unique(torch.stack([region, found]).flatten(1), dim=1)
    assert pairs.shape[1] == len(found.unique()) == rows * columns


def test_a_number_of_centers_keeps_those_of_most_heat() -> None:
    region = squares(4, 5, 12)
    head = CenterOffsetHead(4, sigma=2.0, max_centers=3)
    target = head.target({"region": region})
    faded = target._replace(heat=target.heat * torch.linspace(1, 0.5, 60)[None, None, None])
    with pytest.warns(UserWarning, match="max_centers allows"):
        found = head.labels(head.ideal(faded), Frame.whole((48, 60)))
    assert found.unique().tolist() == [1, 2, 3]
    assert found[0, :, :12].unique().numel() == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 0.0}, "threshold in"),
        ({"threshold": 1.0}, "threshold in"),
        ({"sigma": 0.0}, "positive sigma"),
        ({"kernel": 4}, "odd kernel, found 4"),
        ({"kernel": -1}, "odd kernel, found -1"),
        ({"max_centers": 0}, r"max_centers in 1\.\.65535, found 0"),
        ({"max_centers": 65536}, r"max_centers in 1\.\.65535, found 65536"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CenterOffsetHead(4, **arguments)
