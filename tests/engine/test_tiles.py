import pytest
import torch
from torch import Tensor, nn

from fusionseg.engine.passes import Passes
from fusionseg.engine.tiles import Canvas, starts

PASSES = Passes(tile=96, overlap=32)


def convolutions() -> nn.Module:
    """Sees 10 pixels in each direction of a place, and has an output for each four pixels."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 5, stride=2, padding=2), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2, padding=1)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(4, 5, 3, padding=1)).double()


def seen_by(network: nn.Module, passes: Passes, image: Tensor) -> Tensor:
    with torch.no_grad():
        return passes._seen(lambda part: [{"semantic": network(part)}], image)["semantic"]


@pytest.mark.parametrize("side", [1, 31, 96, 97, 160, 161, 1000])
def test_tiles_cover_every_pixel_and_share_the_overlap(side: int) -> None:
    first = starts(side, 96, 32)
    ends = [start + 96 for start in first]
    assert first[0] == 0
    assert ends[-1] == max(side, 96)
    assert all(end - start >= 32 for end, start in zip(ends, first[1:], strict=False))
    assert len(first) == max(1, -(-(side - 32) // 64))


@pytest.mark.parametrize("size", [(77, 131), (1, 700), (250, 250), (96, 96)])
def test_a_network_that_sees_less_than_the_overlap_has_the_output_of_the_whole_image(
    size: tuple[int, int],
) -> None:
    network = convolutions()
    image = torch.rand(2, 3, *size, dtype=torch.float64)
    whole = seen_by(network, Passes(), image)
    torch.testing.assert_close(seen_by(network, PASSES, image).double(), whole, atol=1e-5, rtol=0)


def test_without_an_overlap_the_output_differs_at_the_seams() -> None:
    network = convolutions()
    image = torch.rand(1, 3, 192, 192, dtype=torch.float64)
    difference = (
        seen_by(network, Passes(tile=96, overlap=0), image) - seen_by(network, Passes(), image)
    ).abs()
    assert difference.amax() > 1e-3
    # an output more than three places from a seam sees nothing of it
    inside = torch.ones(48, 48, dtype=torch.bool)
    inside[20:28] = False
    inside[:, 20:28] = False
    assert difference[..., inside].amax() < 1e-12


@pytest.mark.parametrize("overlap", [0, 32, 64])
@pytest.mark.parametrize("size", [(320, 416), (32, 480)])
def test_tiles_of_an_output_are_put_together_to_the_last_bit(size: tuple[int, int], overlap: int) -> None:
    whole = torch.randn(1, 7, size[0] // 4, size[1] // 4)
    height, width = (min(side, 128) for side in size)
    canvas = None
    for top in starts(size[0], height, overlap if height == 128 else 0):
        for left in starts(size[1], width, overlap):
            part = whole[..., top // 4 : (top + height) // 4, left // 4 : (left + width) // 4]
            canvas = canvas or Canvas(part, (height, width), size, overlap)
            canvas.add(part, top, left)
    assert canvas is not None
    assert torch.equal(canvas.values, whole)


def test_neighbors_fade_into_each_other_in_the_middle_of_what_they_share() -> None:
    canvas = Canvas(torch.zeros(1, 1, 1, 32), (4, 128), (4, 192), 64)
    canvas.add(torch.zeros(1, 1, 1, 32), 0, 0)
    canvas.add(torch.ones(1, 1, 1, 32), 0, 64)
    values = canvas.values.flatten()
    assert not values[: 16 + 6].any()
    assert (values[16 + 10 :] == 1).all()
    assert values[22:26].diff().min() > 0
    torch.testing.assert_close(values[22:26] + values[22:26].flip(0), torch.ones(4))


def test_outputs_whose_sides_do_not_divide_the_tile_are_refused() -> None:
    with pytest.raises(ValueError, match=r"sides divide \(64, 64\), found \(15, 16\)"):
        Canvas(torch.zeros(1, 1, 15, 16), (64, 64), (128, 128), 32)
