import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fusionseg.heads.base import resized
from fusionseg.heads.query_decoding import _places, _resized, _winners, query_regions
from fusionseg.heads.region_decoding import filled, numbered
from fusionseg.sample import Frame

SURE = 20.0


def rectangle(top: int, left: int, bottom: int, right: int, size: tuple[int, int] = (16, 16)) -> Tensor:
    """The logits of a mask that is a rectangle."""
    mask = torch.full(size, -SURE)
    mask[top:bottom, left:right] = SURE
    return mask


@pytest.mark.parametrize(
    "frame",
    [
        Frame.whole((32, 48)),
        Frame((32, 48), (27, 41), (27, 41)),
        Frame((32, 48), (27, 41), (54, 90)),
        Frame((32, 48), (32, 48), (20, 17)),
    ],
)
def test_every_pixel_joins_the_query_that_is_most_likely_an_object_and_has_it(frame: Frame) -> None:
    torch.manual_seed(0)
    masks = 3 * F.interpolate(torch.randn(1, 7, 3, 4), (8, 12), mode="bilinear")[0]
    objects = 0.3 + 0.7 * torch.rand(7)
    found = query_regions(masks, objects, frame, threshold=0, overlap=0, min_area=1)
    scores = resized((objects[:, None, None] * masks.sigmoid()).unsqueeze(0), frame)[0]
    expected = scores.argmax(0).numpy()
    ranked = scores.sort(0).values
    clear = (ranked[-1] - ranked[-2] > 1e-4).numpy()
    assert (found.shape, found.dtype) == (frame.size, np.int32)
    pairs = np.unique(np.stack([found[clear], expected[clear]]), axis=1)
    assert pairs.shape[1] == len(np.unique(found)) == len(np.unique(expected)) > 2
    assert clear.mean() > 0.95


def test_unlikely_objects_do_not_take_part() -> None:
    masks = torch.stack([rectangle(0, 0, 16, 8), rectangle(0, 8, 16, 16)])
    frame = Frame.whole((16, 16))
    assert len(np.unique(query_regions(masks, torch.tensor([0.9, 0.6]), frame, threshold=0.5))) == 2
    assert len(np.unique(query_regions(masks, torch.tensor([0.9, 0.6]), frame, threshold=0.7))) == 1


@pytest.mark.parametrize(("overlap", "regions"), [(0.2, 3), (0.3, 2)])
def test_masks_that_others_mostly_hide_do_not_take_part(overlap: float, regions: int) -> None:
    # of the last mask a quarter is not below the first
    masks = torch.stack([rectangle(0, 0, 16, 12), rectangle(12, 12, 16, 16), rectangle(0, 0, 12, 16)])
    frame = Frame.whole((16, 16))
    found = query_regions(masks, torch.tensor([1.0, 1.0, 0.9]), frame, overlap=overlap, min_area=1)
    assert len(np.unique(found)) == regions


def test_hidden_is_what_the_image_hides_and_not_the_padding() -> None:
    masks = torch.stack([rectangle(0, 8, 16, 16), rectangle(0, 0, 16, 16)])
    objects = torch.tensor([1.0, 0.9])
    whole = query_regions(masks, objects, Frame.whole((16, 16)), overlap=0.6)
    part = query_regions(masks, objects, Frame((16, 16), (16, 10), (16, 10)), overlap=0.6, min_area=1)
    assert len(np.unique(whole)) == 1
    assert len(np.unique(part)) == 2


def test_the_parts_of_a_mask_are_one_region() -> None:
    mask = torch.maximum(rectangle(2, 2, 6, 6), rectangle(10, 10, 14, 14))
    found = query_regions(torch.stack([mask, -mask]), torch.ones(2), Frame.whole((16, 16)))
    assert found[3, 3] == found[12, 12] != found[0, 0]


@pytest.mark.parametrize(("min_area", "regions"), [(16, 2), (17, 1)])
def test_small_regions_are_merged_at_the_size_of_the_file(min_area: int, regions: int) -> None:
    mask = rectangle(4, 4, 8, 8)
    frame = Frame((16, 16), (16, 16), (16, 16))
    found = query_regions(torch.stack([mask, -mask]), torch.ones(2), frame, min_area=min_area)
    assert len(np.unique(found)) == regions


@pytest.mark.parametrize("value", [-SURE, 0.0, SURE, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("chance", [0.0, 1.0, math.nan])
def test_equal_answers_of_any_value_are_one_region(value: float, chance: float) -> None:
    found = query_regions(torch.full((3, 4, 4), value), torch.full((3,), chance), Frame.whole((16, 16)))
    assert np.array_equal(found, np.ones((16, 16)))


def test_an_answer_that_is_no_number_hides_no_other() -> None:
    masks = torch.stack([torch.full((16, 16), math.nan), rectangle(0, 0, 16, 8), rectangle(0, 8, 16, 16)])
    found = query_regions(masks, torch.ones(3), Frame.whole((16, 16)))
    expected = filled(numbered(np.repeat([[1] * 8 + [2] * 8], 16, 0).astype(np.int32), 1))
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("sharpness", [0.3, 3, 30])
@pytest.mark.parametrize(
    "frame",
    [
        Frame.whole((96, 144)),
        Frame((96, 144), (81, 123), (81, 123)),
        Frame((96, 144), (81, 123), (162, 270)),
        Frame((96, 144), (96, 144), (20, 17)),
    ],
)
def test_masks_are_compared_wherever_they_may_win(frame: Frame, sharpness: float) -> None:
    torch.manual_seed(0)
    logits = sharpness * F.interpolate(torch.randn(1, 9, 4, 6) - 2, (24, 36), mode="bilinear")[0]
    scores = logits.sigmoid().numpy()
    places = _places(scores, frame)
    enlarged = [_resized(score, frame) for score in scores]
    expected = _winners(enlarged, frame.size)
    assert len(np.unique(expected)) > 4
    assert np.array_equal(_winners(enlarged, frame.size, places), expected)


def test_a_small_mask_may_win_only_near_it() -> None:
    masks = torch.stack([rectangle(0, 0, 64, 64, (64, 64)), rectangle(8, 40, 12, 50, (64, 64))])
    whole, small = _places(
        (torch.tensor([0.9, 1])[:, None, None] * masks.sigmoid()).numpy(), Frame.whole((128, 128))
    )
    assert np.zeros((128, 128))[whole].shape == (128, 128)
    assert np.zeros((128, 128))[small].shape == (24, 36)
