from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import label
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fusionseg.heads.region_graph import (
    Offset,
    ends,
    fragments,
    mutex_watershed,
    partition,
    region_graph,
)
from fusionseg.sample import IntMap

NEIGHBORS: list[Offset] = [(0, 1), (1, 0)]


def same_partition(a: IntMap, b: IntMap) -> bool:
    """Whether two maps give equal labels to the same pixels."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1).shape[1]
    return pairs == len(np.unique(a)) == len(np.unique(b))


def affinities(region: IntMap, offsets: list[Offset]) -> npt.NDArray[np.float32]:
    """Logits (K, H, W) of +-20 of a region map."""
    logits = np.full((len(offsets), *region.shape), -20, np.float32)
    for logit, offset in zip(logits, offsets, strict=True):
        near, far = ends(region.shape, offset)
        logit[near][region[near] == region[far]] = 20
    return logits


@pytest.mark.parametrize("offset", [(0, 1), (1, 0), (2, 3), (2, -3), (0, 7), (5, 0), (9, 9), (6, -8)])
def test_ends_are_all_pixels_with_another_at_the_offset(offset: Offset) -> None:
    size = (5, 7)
    pixels = np.arange(35).reshape(size)
    near, far = ends(size, offset)
    expected = []
    for y, x in product(range(5), range(7)):
        row, column = y + offset[0], x + offset[1]
        if row < 5 and 0 <= column < 7:
            expected.append((pixels[y, x], pixels[row, column]))
    assert list(zip(pixels[near].ravel(), pixels[far].ravel(), strict=True)) == expected


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_fragments_are_the_connected_components_of_the_grid(share: float) -> None:
    chance = np.random.default_rng(0)
    right, down = chance.random((30, 39)) < share, chance.random((29, 40)) < share
    pixels = np.arange(1200).reshape(30, 40)
    first = np.concatenate([pixels[:, :-1][right], pixels[:-1][down]])
    second = np.concatenate([pixels[:, 1:][right], pixels[1:][down]])
    _, expected = connected_components(coo_array((np.ones(len(first)), (first, second)), (1200, 1200)))
    found = fragments(right, down)
    assert found.min() == 1
    assert same_partition(found, expected.reshape(30, 40))


def test_weights_are_mean_affinities_less_the_threshold_and_three_undecided_edges() -> None:
    chance = np.random.default_rng(0)
    labels = chance.integers(5, size=(3, 4)).repeat(5, 0).repeat(5, 1).astype(np.int32)
    offsets = [*NEIGHBORS, (0, 2), (7, -4)]
    logits = (3 * chance.standard_normal((4, 15, 20))).astype(np.float32)
    edges: dict[tuple[int, int], list[float]] = {}
    for k, (down, right) in enumerate(offsets):
        step = (1, 1, 2, 3)[k]
        rows = range(k % step, 15 - down, step)
        columns = range(max(0, -right) + k % step, min(20, 20 - right), step)
        for y, x in product(rows, columns):
            a, b = sorted([labels[y, x], labels[y + down, x + right]])
            if a != b and a > 0:
                edges.setdefault((a, b), []).append(1 / (1 + np.exp(-logits[k, y, x])) - 0.3)
    first, second, weights = region_graph(labels, logits, offsets, threshold=0.3)
    found = dict(zip(zip(first.tolist(), second.tolist(), strict=True), weights, strict=True))
    expected = {pair: sum(values) / (len(values) + 3) for pair, values in edges.items()}
    assert found == pytest.approx(expected, abs=1e-6)


def slow_mutex_watershed(number: int, edges: list[tuple[int, int, float]]) -> npt.NDArray[np.int64]:
    """Algorithm 1 of Wolf et al. by its definition: edges of nodes are active, and paths of them are followed."""
    attractive: set[tuple[int, int]] = set()
    repulsive: set[tuple[int, int]] = set()

    def clusters() -> npt.NDArray[np.int64]:
        pairs = np.array(sorted(attractive), int).reshape(-1, 2).T
        graph = coo_array((np.ones(pairs.shape[1]), tuple(pairs)), (number, number))
        return connected_components(graph, directed=False)[1]  # type: ignore[no-any-return]

    for a, b, weight in sorted(edges, key=lambda edge: -abs(edge[2])):
        found = clusters()
        excluded = any({found[c], found[d]} == {found[a], found[b]} for c, d in repulsive)
        if weight > 0 and not excluded:
            attractive.add((a, b))
        elif weight <= 0 and found[a] != found[b]:
            repulsive.add((a, b))
    return clusters()


@pytest.mark.parametrize("seed", range(5))
def test_mutex_watershed_is_the_paper_s_algorithm(seed: int) -> None:
    chance = np.random.default_rng(seed)
    first, second = np.triu_indices(25, 1)
    kept = chance.random(len(first)) < 0.4
    first, second = first[kept].astype(np.int32), second[kept].astype(np.int32)
    weights = chance.uniform(-0.7, 0.6, len(first))
    expected = slow_mutex_watershed(25, list(zip(first, second, weights, strict=True)))
    found = mutex_watershed(25, first, second, weights)
    assert 1 < len(np.unique(expected)) < 20
    assert same_partition(found, expected)


def test_a_stronger_repulsion_keeps_apart_what_a_chain_of_attractions_connects() -> None:
    first, second = np.array([0, 1, 0], np.int32), np.array([1, 2, 2], np.int32)
    apart = mutex_watershed(3, first, second, np.array([0.9, 0.7, -0.8]))
    joined = mutex_watershed(3, first, second, np.array([0.9, 0.7, -0.6]))
    assert apart[0] == apart[1] != apart[2]
    assert joined[0] == joined[1] == joined[2]


@pytest.mark.parametrize("cell", [2, 3, 16, 1000])
def test_partition_inverts_ideal_affinities_whatever_the_cells(cell: int) -> None:
    chance = np.random.default_rng(cell)
    region = label(chance.random((8, 11)) < 0.5)[0].repeat(6, 0).repeat(6, 1).astype(np.int32)
    offsets = [*NEIGHBORS, (0, 3), (3, 0)]
    found = partition(affinities(region, offsets), offsets, cell=cell)
    # the background is not connected, and gaps of 6 pixels are wider than any edge
    assert same_partition(found, np.where(region == 0, label(region == 0)[0], 1000 + region))


@pytest.mark.parametrize("value", [-20.0, np.nan])
def test_without_connected_pixels_there_is_one_region(value: float) -> None:
    found = partition(np.full((2, 6, 7), value, np.float32), NEIGHBORS)
    np.testing.assert_array_equal(found, np.ones((6, 7)))


def test_one_pixel_is_one_region() -> None:
    assert partition(np.zeros((2, 1, 1), np.float32), NEIGHBORS) == 1


def test_small_regions_join_the_nearest_and_the_rest_is_numbered_from_1() -> None:
    region = np.ones((20, 40), np.int32)
    region[:, 15:] = 2
    region[4:7, 2:6] = 3
    logits = affinities(region, NEIGHBORS)
    sizes = [np.bincount(partition(logits, NEIGHBORS, min_area=area).ravel())[1:] for area in (12, 13)]
    assert sorted(sizes[0]) == [12, 288, 500]
    assert sorted(sizes[1]) == [300, 500]
