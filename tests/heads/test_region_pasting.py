import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F

from fusionseg.heads.region_pasting import Floats, covered, enlarged, pasted, region_maps
from fusionseg.heads.region_rois import Detections
from fusionseg.sample import Frame

SIZE = (40, 60)


def box(*edges: float) -> Floats:
    return np.array(edges, np.float32)


def paste(*found: tuple[Floats, Floats], gap: int = 100) -> npt.NDArray[np.int32]:
    """The map of boxes and masks, the likeliest first."""
    boxes, masks = (np.stack(each) for each in zip(*found, strict=True))
    return pasted(boxes, masks, SIZE, gap)


def mask(value: float = 1.0) -> Floats:
    return np.full((28, 28), value, np.float32)


@pytest.mark.parametrize(
    "edges", [(3, 5, 47, 31), (3.3, 5.4, 46.6, 31.2), (-8.5, -3.2, 70.1, 45.7), (9, 9, 12, 14)]
)
def test_a_mask_is_enlarged_as_torch_interpolates_at_the_same_places(edges: tuple[float, ...]) -> None:
    values = np.random.default_rng(0).random((28, 28)).astype(np.float32)
    rows, columns = inside = covered(box(*edges), SIZE)
    left, top, right, bottom = edges
    # from -1 to 1 between the edges of the box
    x = (torch.arange(columns.start, columns.stop) + 0.5 - left) / (right - left) * 2 - 1
    y = (torch.arange(rows.start, rows.stop) + 0.5 - top) / (bottom - top) * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).float()[None]
    expected = F.grid_sample(
        torch.from_numpy(values)[None, None], grid, padding_mode="border", align_corners=False
    )
    # OpenCV interpolates at multiples of 1/32 cell
    np.testing.assert_allclose(enlarged(values, box(*edges), inside), expected[0, 0], rtol=0, atol=1 / 16)


def test_a_box_covers_the_pixels_whose_centers_it_has() -> None:
    assert covered(box(3.4, 5.6, 7.5, 9.4), SIZE) == (slice(6, 9), slice(3, 7))
    assert covered(box(-9, -9, 99, 99), SIZE) == (slice(0, 40), slice(0, 60))
    rows, columns = covered(box(70, 50, 80, 60), SIZE)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (0, 0)


def test_a_region_is_where_its_mask_is_at_least_as_likely_as_not() -> None:
    values = mask(0.6)
    values[:, :14] = 0.4
    region = paste((box(10, 10, 38, 38), values), gap=0)
    expected = np.zeros(SIZE, bool)
    expected[10:38, 24:38] = True
    assert np.array_equal(region == 1, expected)


def test_each_pixel_is_of_the_region_that_it_most_likely_is_of() -> None:
    first = np.tile(np.linspace(1, 0, 28, dtype=np.float32), (28, 1))
    second = np.tile(np.linspace(0.2, 1.2, 28, dtype=np.float32).clip(0, 1), (28, 1))
    region = paste((box(0, 0, 60, 40), first), (box(0, 0, 60, 40), second))
    changes = np.diff(region, axis=1).astype(bool).sum(1)
    assert (changes == 1).all()
    border = (region == region[0, 0]).sum(1)
    # 1 - x = 0.2 + x
    assert np.abs(border - 0.4 * 60).max() <= 1.5


def test_a_region_that_is_seen_twice_is_one() -> None:
    twice = paste((box(0, 0, 60, 40), mask(0.9)), (box(8, 8, 30, 30), mask(0.95)))
    assert (twice == 1).all()
    apart = paste((box(0, 0, 30, 40), mask(0.9)), (box(22, 0, 60, 40), mask(0.8)))
    assert (apart[:, :30] == 1).all()
    assert (apart[:, 30:] == 2).all()


def test_what_is_far_from_all_regions_is_one_of_its_own() -> None:
    near = paste((box(0, 0, 20, 40), mask()), (box(50, 0, 60, 40), mask()), gap=16)
    assert (near[:, :35] == 1).all()
    assert (near[:, 36:] == 2).all()
    far = paste((box(0, 0, 20, 40), mask()), (box(50, 0, 60, 40), mask()), gap=8)
    assert len(np.unique(far)) == 3
    assert np.unique(far[:, 30:40]).tolist() == [3]
    assert (far[:, 20:24] == 1).all()
    assert (far[:, 46:] == 2).all()


def test_where_nothing_is_found_all_is_one_region() -> None:
    nothing = pasted(np.zeros((0, 4), np.float32), np.zeros((0, 28, 28), np.float32), SIZE, gap=16)
    assert (nothing == 1).all()


def test_boxes_of_the_network_s_input_are_pasted_at_the_label_file_s_size() -> None:
    boxes = torch.tensor([[[0.0, 0, 15, 20], [15, 0, 30, 20], [0, 0, 30, 20]]])
    found = Detections(boxes, torch.tensor([[0.9, 0.8, 0.0]]), torch.ones(1, 3, 28, 28))
    region = region_maps(found, Frame((32, 32), (20, 30), SIZE), threshold=0.05, gap=16)
    assert (region.shape, region.dtype) == ((1, *SIZE), torch.int64)
    assert (region[..., :30] == 1).all()
    assert (region[..., 30:] == 2).all()
