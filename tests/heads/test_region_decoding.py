import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from fusionseg.data.components import components
from fusionseg.heads.region_decoding import _window_maximum, filled, group, watershed
from fusionseg.heads.region_targets import boundaries, center_heatmap, center_offsets, centroids
from fusionseg.sample import IntMap


def blocks(seed: int, classes: int, size: int, void: float = 0.1) -> npt.NDArray[np.uint8]:
    """Class ids (60, 90) in random rectangles, some of them void."""
    chance = np.random.default_rng(seed)
    coarse = chance.integers(classes, size=(60 // size + 1, 90 // size + 1), dtype=np.uint8)
    coarse[chance.random(coarse.shape) < void] = 255
    return coarse.repeat(size, 0).repeat(size, 1)[:60, :90]


def in_scan_order(labels: IntMap) -> IntMap:
    """The same partition, numbered from 1 by first pixels; 0 stays."""
    ids, firsts = np.unique(labels, return_index=True)
    firsts, ids = firsts[ids > 0], ids[ids > 0]
    numbers = np.zeros(int(labels.max()) + 1, np.int64)
    numbers[ids[firsts.argsort()]] = np.arange(1, len(ids) + 1)
    return numbers[labels]


def same_partition(a: IntMap, b: IntMap) -> bool:
    return np.array_equal(in_scan_order(a), in_scan_order(b))


@pytest.mark.parametrize("dtype", [np.uint16, np.int64])
def test_filled_takes_a_nearest_label(dtype: type[np.integer[npt.NBitBase]]) -> None:
    region = np.zeros((40, 50), dtype)
    chance = np.random.default_rng(0)
    region[chance.integers(40, size=12), chance.integers(50, size=12)] = np.arange(1, 13) * 5000
    found = filled(region)
    assert found.dtype == dtype
    points = np.argwhere(region)
    for pixel in np.ndindex(*region.shape):
        far = np.hypot(*(points - pixel).T)
        own = far[region[tuple(points.T)] == found[pixel]].min()
        assert own <= 1.03 * far.min()
    np.testing.assert_array_equal(found[region > 0], region[region > 0])


def test_filled_keeps_a_full_map_and_makes_one_region_of_an_empty_one() -> None:
    full = np.arange(1, 13).reshape(3, 4)
    np.testing.assert_array_equal(filled(full), full)
    assert filled(full) is not full
    np.testing.assert_array_equal(filled(np.zeros((3, 4), np.int32)), np.ones((3, 4), np.int32))


def slow_group(centers: list[tuple[int, int]], offsets: Tensor) -> Tensor:
    _, height, width = offsets.shape
    found = torch.zeros(height, width, dtype=torch.long)
    for y in range(height):
        for x in range(width):
            v, u = offsets[:, y, x].tolist()
            far = [(y + v - row) ** 2 + (x + u - column) ** 2 for row, column in centers]
            found[y, x] = far.index(min(far)) + 1
    return found


def test_group_joins_every_pixel_to_the_nearest_center_by_falling_heat() -> None:
    centers = [(3, 30), (20, 4), (12, 17), (23, 31)]
    heat = torch.zeros(1, 26, 37)
    for rank, (y, x) in enumerate(centers):
        heat[0, y, x] = 0.9 - 0.2 * rank
    offsets = 6 * torch.randn(2, 26, 37, generator=torch.Generator().manual_seed(0))
    assert torch.equal(group(heat, offsets), slow_group(centers, offsets))
    assert torch.equal(group(heat, offsets, threshold=0.6), slow_group(centers[:2], offsets))
    with pytest.warns(UserWarning, match=r"max_centers allows \(3\)"):
        assert torch.equal(group(heat, offsets, max_centers=3), slow_group(centers[:3], offsets))


@pytest.mark.parametrize("spread", [5, 100])
@pytest.mark.parametrize("number", [1, 12, 150, 400, 900])
def test_group_keeps_all_centers_and_finds_the_nearest_of_many(number: int, spread: int) -> None:
    chance = torch.Generator().manual_seed(number)
    heat = torch.zeros(64 * 80)
    places = torch.randperm(64 * 80, generator=chance)[:number]
    heat[places] = torch.linspace(0.9, 0.2, number)
    points = spread * torch.randn(2, 64, 80, generator=chance)
    found = group(heat.view(1, 64, 80), points, kernel=1)
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(80.0), indexing="ij")
    aims = (torch.stack([rows, columns]) + points).flatten(1).T
    centers = torch.stack([places // 80, places % 80], 1).float()
    far = torch.cdist(aims.double(), centers.double())
    own = far.gather(1, found.view(-1, 1) - 1)[:, 0]
    torch.testing.assert_close(own, far.min(1).values, rtol=0, atol=1e-4)
    assert found.unique().numel() > (0.9 if spread == 5 else 0.3) * number


def test_a_window_holds_one_center_and_a_plateau_too() -> None:
    heat = torch.zeros(1, 20, 20)
    heat[0, 4:7, 4:7] = 0.8
    heat[0, 7, 8] = 0.7
    heat[0, 15, 15] = 0.8
    found = group(heat, torch.zeros(2, 20, 20), kernel=7)
    assert torch.equal(found, slow_group([(4, 4), (15, 15)], torch.zeros(2, 20, 20)))
    assert group(heat, torch.zeros(2, 20, 20), kernel=1).max() == 11


def test_without_centers_there_is_one_region() -> None:
    found = group(torch.full((1, 6, 7), 0.05), torch.randn(2, 6, 7))
    assert torch.equal(found, torch.ones(6, 7, dtype=torch.long))


def test_grouping_far_from_the_origin_is_exact_under_reduced_precision() -> None:
    heat = torch.zeros(1, 4, 3000)
    heat[0, 2, 2990:] = torch.tensor([0, 0.9, 0, 0, 0, 0, 0, 0, 0, 0.8])
    precision = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", torch.bfloat16):
            found = group(heat, torch.zeros(2, 4, 3000), kernel=3)
    finally:
        torch.set_float32_matmul_precision(precision)
    assert (found[:, :2995] == 1).all()
    assert (found[:, 2996:] == 2).all()


def test_an_even_window_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an odd kernel, found 4"):
        group(torch.zeros(1, 6, 7), torch.zeros(2, 6, 7), kernel=4)


def partition(seed: int) -> npt.NDArray[np.int64]:
    """Regions of 12 x 12 pixels and more, without void."""
    region = filled(components(blocks(seed, 4, 12, 0.0))).astype(np.int64)
    assert len(np.unique(region)) > 10
    return region


@pytest.mark.parametrize("seed", range(3))
def test_group_inverts_ideal_heat_and_offsets(seed: int) -> None:
    region = partition(seed)
    batch = torch.from_numpy(region).unsqueeze(0)
    centers, counts = centroids(batch)
    heat = center_heatmap(batch.shape[1:], centers, counts, 2.0)
    found = group(heat[0], center_offsets(batch, centers)[0]).numpy()
    assert same_partition(found, region)


@pytest.mark.parametrize("seed", range(3))
def test_watershed_inverts_ideal_boundaries_up_to_the_boundary(seed: int) -> None:
    region = partition(seed)
    line = boundaries(torch.from_numpy(region).unsqueeze(0))[0].numpy()
    found = watershed(line.astype(np.float32))
    assert found.dtype == np.int32
    assert found.min() == 1
    assert same_partition(np.where(line, 0, found), np.where(line, 0, region))
    assert (in_scan_order(found) == in_scan_order(region)).mean() > 0.99


def test_basins_are_scipys_and_small_ones_go_to_their_neighbors() -> None:
    probability = ndimage.gaussian_filter(np.random.default_rng(0).random((50, 60)), 1.5)
    probability = (probability - probability.min()) / np.ptp(probability)
    labels, number = ndimage.label(probability < 0.4)
    areas = ndimage.sum_labels(np.ones_like(labels), labels, range(1, number + 1))
    assert min(areas) < 10 < max(areas)
    found = watershed(probability, 0.4, min_area=10)
    kept = np.isin(labels, 1 + np.flatnonzero(areas >= 10))
    assert found.max() == (areas >= 10).sum()
    assert same_partition(np.where(kept, found, 0), np.where(kept, labels, 0))


def test_watershed_splits_a_plateau_of_boundary_between_its_basins() -> None:
    probability = np.zeros((8, 30), np.float32)
    probability[:, 10:20] = 0.9
    np.testing.assert_array_equal(watershed(probability), np.repeat([[1] * 15 + [2] * 15], 8, 0))


@pytest.mark.parametrize(("likely", "min_area"), [(1.0, 1), (0.0, 100)])
def test_without_basins_there_is_one_region(likely: float, min_area: int) -> None:
    found = watershed(np.full((5, 6), likely, np.float32), min_area=min_area)
    np.testing.assert_array_equal(found, np.ones((5, 6), np.int32))


@pytest.mark.parametrize("kernel", [1, 3, 7, 63])
@pytest.mark.parametrize("size", [(5, 7), (1, 70), (77, 131)])
def test_on_a_cpu_the_maximum_of_a_window_is_that_of_pooling(size: tuple[int, int], kernel: int) -> None:
    values = torch.rand(1, *size) - 2
    pooled = F.max_pool2d(values[None], kernel, stride=1, padding=kernel // 2)[0]
    assert torch.equal(_window_maximum(values, kernel), pooled)


def test_heat_that_is_no_number_is_no_center() -> None:
    heat = torch.full((1, 8, 9), torch.nan)
    heat[0, 1, 1] = 0.9
    heat[0, 6, 7] = 0.8
    found = group(heat, torch.zeros(2, 8, 9))
    assert found.unique().tolist() == [1, 2]
    assert (found[1, 1], found[6, 7]) == (1, 2)
