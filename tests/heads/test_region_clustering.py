import time

import numpy as np
import numpy.typing as npt
import pytest

from fusionseg.heads.region_clustering import Numbers, Vectors, clustered


def squares(rows: int, columns: int, side: int) -> npt.NDArray[np.int64]:
    """Square regions (rows * side, columns * side), numbered from 1."""
    return np.arange(1, rows * columns + 1).reshape(rows, columns).repeat(side, 0).repeat(side, 1)


def codes(number: int, dimensions: int = 8) -> Vectors:
    """Vectors that are at least 3 apart, with neighbors at that distance."""
    base = int(np.ceil(number ** (1 / dimensions)))
    digits = np.arange(number)[:, None] // base ** np.arange(dimensions) % base
    return (3 * digits).astype(np.float32)


def embedded(region: npt.NDArray[np.int64], noise: float, dimensions: int = 8) -> Vectors:
    """Embeddings (E, H, W) of region ids (H, W) from 1, each within the length `noise` of its region's code."""
    chance = np.random.default_rng(0)
    vectors = codes(int(region.max()), dimensions)[region - 1]
    direction = chance.normal(size=vectors.shape)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    vectors += noise * chance.random((*region.shape, 1)) * direction
    return np.ascontiguousarray(vectors.transpose(2, 0, 1), dtype=np.float32)


def same_partition(a: npt.NDArray[np.integer], b: npt.NDArray[np.integer]) -> bool:
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return pairs.shape[1] == len(np.unique(a)) == len(np.unique(b))


def mean_shift(embeddings: Vectors, bandwidth: float) -> Numbers:
    """Every pixel moves to the mean of all within the bandwidth until nothing moves; a mode is a region."""
    points = embeddings.reshape(len(embeddings), -1).T.astype(float)
    moved = points.copy()
    for _ in range(30):
        for i, point in enumerate(moved.copy()):
            near = np.linalg.norm(points - point, axis=1) < bandwidth
            moved[i] = points[near].mean(0)
    modes: list[npt.NDArray[np.float64]] = []
    numbers = []
    for point in moved:
        found = [i for i, mode in enumerate(modes) if np.linalg.norm(point - mode) < bandwidth / 2]
        if not found:
            modes.append(point)
        numbers.append(found[0] + 1 if found else len(modes))
    return np.reshape(numbers, embeddings.shape[1:]).astype(np.int32)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_clusters_are_those_of_a_mean_shift_from_every_pixel(noise: float) -> None:
    embeddings = embedded(squares(2, 3, 4), noise, dimensions=2)
    found = clustered(embeddings, embeddings)
    assert same_partition(found, mean_shift(embeddings, 1.0))
    assert same_partition(found, squares(2, 3, 4))


@pytest.mark.parametrize(("rows", "columns", "side"), [(3, 4, 12), (20, 20, 12), (25, 48, 6), (40, 40, 3)])
def test_every_region_within_the_margins_is_found_however_many(rows: int, columns: int, side: int) -> None:
    region = squares(rows, columns, side)
    embeddings = embedded(region, 0.49)
    found = clustered(embeddings, embeddings)
    assert same_partition(found, region)
    assert found.dtype == np.int32
    assert sorted(np.unique(found)) == list(range(1, rows * columns + 1))


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_only_the_ratio_of_distances_to_the_bandwidth_matters(scale: float) -> None:
    region = squares(4, 5, 8)
    embeddings = scale * embedded(region, 0.5)
    assert same_partition(clustered(embeddings, embeddings, bandwidth=scale), region)


def test_clusters_are_numbered_by_falling_size_and_need_not_be_connected() -> None:
    region = np.ones((20, 30), np.int64)
    region[:8, 10:18] = 2
    region[12:, 10:18] = 2
    region[:, 24:] = 3
    embeddings = embedded(region, 0.3)
    found = clustered(embeddings, embeddings)
    np.testing.assert_array_equal(found, np.choose(region - 1, [1, 2, 3]))


def test_mixtures_of_two_regions_join_the_nearer_one_though_a_third_has_their_embedding() -> None:
    low = np.zeros((2, 12, 20), np.float32)
    low[0, :, 10:] = 6
    low[:, 6:] = np.array([3, 1.2])[:, None, None]
    enlarged = low.repeat(4, 1).repeat(4, 2)
    enlarged[0, :24] = np.interp(np.arange(80), [37.5, 41.5], [0, 6])
    found = clustered(enlarged, low)
    expected = np.where(np.arange(80) < 40, found[0, 0], found[0, -1])
    assert len(np.unique(found)) == 3
    wrong = found[:20] != expected
    assert wrong.mean() < 0.05
    np.testing.assert_array_equal(found[26:], found[-1, -1])


def test_a_transition_between_regions_is_no_cluster() -> None:
    embeddings = np.zeros((2, 24, 32), np.float32)
    embeddings[0] = np.interp(np.arange(32), [12, 18], [0, 9])
    found = clustered(embeddings, embeddings)
    np.testing.assert_array_equal(
        found, np.tile(np.where(np.arange(32) < 15.5, found[0, 0], found[0, -1]), (24, 1))
    )
    assert found[0, 0] != found[0, -1]


@pytest.mark.parametrize(("min_area", "regions"), [(1, 3), (16, 3), (17, 2), (10**6, 1)])
def test_small_clusters_join_the_nearest_region(min_area: int, regions: int) -> None:
    region = np.ones((24, 32), np.int64)
    region[:, 16:] = 2
    region[4:8, 4:8] = 3
    embeddings = embedded(region, 0.2)
    found = clustered(embeddings, embeddings, min_area=min_area)
    assert len(np.unique(found)) == regions
    if regions == 2:
        assert same_partition(found, np.where(region == 2, 2, 1))


def test_a_number_of_clusters_is_the_most_that_are_looked_for() -> None:
    region = squares(4, 5, 8)
    embeddings = embedded(region, 0.2)
    with pytest.warns(UserWarning, match=r"max_clusters allows \(7\)"):
        assert len(np.unique(clustered(embeddings, embeddings, max_clusters=7))) == 7


@pytest.mark.parametrize("value", [0.0, 1e30, np.inf, -np.inf, np.nan])
def test_equal_embeddings_are_one_region(value: float) -> None:
    embeddings = np.full((8, 40, 60), value, np.float32)
    np.testing.assert_array_equal(clustered(embeddings, embeddings), 1)


def test_pixels_without_numbers_join_the_nearest_region() -> None:
    region = squares(3, 4, 10)
    embeddings = embedded(region, 0.3)
    embeddings[:, 5, 5] = np.nan
    embeddings[2, 15, 15:18] = np.inf
    assert same_partition(clustered(embeddings, embeddings), region)


@pytest.mark.parametrize("spread", [0.2, 3.0, 1e4])
def test_noise_takes_no_time(spread: float) -> None:
    embeddings = spread * np.random.default_rng(0).normal(size=(8, 128, 256)).astype(np.float32)
    start = time.process_time()
    found = clustered(embeddings, embeddings)
    assert time.process_time() - start < 1
    assert found.min() == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2)])
def test_images_of_a_few_pixels_are_clustered_too(shape: tuple[int, int]) -> None:
    embeddings = np.zeros((3, *shape), np.float32)
    np.testing.assert_array_equal(clustered(embeddings, embeddings), np.ones(shape))
