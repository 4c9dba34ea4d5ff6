"""Region maps from affinities: an over-segmentation, its graph, and the mutex watershed of the graph.

Pixels are the ends of edges, one kind of edge for each offset (down, right). The logit of an edge, whose
sigmoid is the probability that both ends belong to one region, stands at its first end.
"""

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.heads.region_decoding import filled, numbered

Offset: TypeAlias = tuple[int, int]
"""From the first end of an edge to the second, in pixels: down, then right."""

OFFSETS: tuple[Offset, ...] = tuple(
    offset for reach in (1, 3, 9, 27, 81) for offset in ((0, reach), (reach, 0))
)
"""The offsets of Lee et al. within an image, and 81 pixels, which reach across what divides a region."""

Slices: TypeAlias = tuple[slice, slice]
Labels: TypeAlias = npt.NDArray[np.int32]

_SPECK = 4
"""Fragments of fewer pixels are what is left between the cuts of a wide border; they get no node."""

_STEP = 3
"""Of long edges only those in every third row and column are read; offsets take turns which ones."""

_UNDECIDED = 3
"""So many edges that neither attract nor repel are added to each mean, as few edges are weak evidence."""


def check_offsets(offsets: Sequence[Offset]) -> None:
    """Raises a ValueError unless every edge has one offset, and those between neighbors are there."""
    if not {(0, 1), (1, 0)} <= set(offsets):
        raise ValueError(
            f"edges between neighbors are needed: expected offsets (0, 1), (1, 0), found {offsets}"
        )
    if len(set(offsets)) < len(offsets) or min(offsets) <= (0, 0):
        raise ValueError(f"expected different offsets down or, within a row, to the right, found {offsets}")


def ends(size: Sequence[int], offset: Offset) -> tuple[Slices, Slices]:
    """The rows and columns of the first and of the second ends of all edges inside of an image.

    Args:
        size: Height and width of the image.
        offset: The offset of the edges, which goes down or, within a row, to the right.
    """
    down, right = offset
    height = max(size[0] - down, 0)
    width = max(size[1] - abs(right), 0)
    left, shifted = slice(width), slice(size[1] - width, None)
    if right < 0:
        left, shifted = shifted, left
    return (slice(height), left), (slice(size[0] - height, None), shifted)


def partition(
    logits: npt.NDArray[np.float32],
    offsets: Sequence[Offset],
    threshold: float = 0.5,
    cell: int = 16,
    min_area: float = 1,
) -> Labels:
    """The region map, int32 (H, W) from 1, that affinities describe; all 1 where nothing is connected.

    Fragments, connected by the likely ones of the edges between neighbors, are joined into regions by the
    mutex watershed of their mean affinities over the edges of all offsets. Pixels of no region join the
    nearest one.

    Args:
        logits: Logits of the affinities (K, H, W), whatever they are where an edge leaves the image.
        offsets: The K offsets, among them (0, 1) and (1, 0).
        threshold: Edges of a larger affinity attract their ends, and other edges repel them.
        cell: Height and width of the cells of a grid across whose borders no fragment reaches.
        min_area: Regions of fewer pixels are merged into the nearest one.
    """
    likely = np.log(threshold / (1 - threshold))
    right = logits[offsets.index((0, 1)), :, :-1] > likely
    down = logits[offsets.index((1, 0)), :-1] > likely
    right[:, cell - 1 :: cell] = False
    down[cell - 1 :: cell] = False
    labels = numbered(fragments(right, down), _SPECK)
    first, second, weights = region_graph(labels, logits, offsets, threshold)
    regions = mutex_watershed(int(labels.max()) + 1, first, second, weights)
    return filled(numbered(regions[labels], min_area))


def fragments(right: npt.NDArray[np.bool_], down: npt.NDArray[np.bool_]) -> Labels:
    """The components (H, W), numbered from 1, of pixels that edges between neighbors connect.

    Args:
        right: Whether a pixel is connected to the next one in its row (H, W - 1).
        down: Whether a pixel is connected to the next one in its column (H - 1, W).
    """
    # Pixels and the edges between them, laid out as one image, whose components OpenCV finds faster than
    # SciPy those of a graph.
    grid = np.zeros((2 * len(right) - 1, 2 * down.shape[1] - 1), np.uint8)
    grid[::2, ::2] = 1
    grid[::2, 1::2] = right
    grid[1::2, ::2] = down
    _, labels = cv2.connectedComponents(grid, connectivity=4, ltype=cv2.CV_32S)
    return np.asarray(labels[::2, ::2], np.int32)


def region_graph(
    labels: Labels, logits: npt.NDArray[np.float32], offsets: Sequence[Offset], threshold: float = 0.5
) -> tuple[Labels, Labels, npt.NDArray[np.floating]]:
    """The pairs of fragments (E,), (E,) between which there are edges, and the weights (E,) of the pairs.

    A weight is the mean affinity of the edges of all offsets (Lee et al., arXiv:1706.00120), less the
    threshold, so that it is positive where fragments attract each other.

    Args:
        labels: Fragments (H, W), numbered from 1; pixels that are 0 belong to none.
        logits: Logits of the affinities (K, H, W).
        offsets: The K offsets.
        threshold: The affinity at which edges neither attract nor repel.
    """
    from scipy.sparse import coo_array  # which takes a while

    near: list[Labels] = []
    far: list[Labels] = []
    values: list[npt.NDArray[np.float32]] = []
    for k, (logit, offset) in enumerate(zip(logits, offsets, strict=True)):
        step = min(max(map(abs, offset)), _STEP)
        some = slice(k % step, None, step)
        first, second = ends(labels.shape, offset)
        one = labels[first][some, some]
        other = labels[second][some, some]
        between = (one != other) & (one > 0) & (other > 0)
        near.append(one[between])
        far.append(other[between])
        values.append(logit[first][some, some][between])
    pair = np.concatenate(near), np.concatenate(far)
    # The hyperbolic tangent is a sigmoid that does not overflow.
    affinity = 0.5 + 0.5 * np.tanh(0.5 * np.concatenate(values))
    nodes = int(labels.max()) + 1
    # Complex numbers add up both in one pass: the affinities, and in their imaginary parts the edges.
    entries = (affinity - threshold + 1j, (np.minimum(*pair), np.maximum(*pair)))
    sums = coo_array(entries, shape=(nodes, nodes)).tocsr().tocoo()
    return *sums.coords, sums.data.real / (sums.data.imag + _UNDECIDED)


def mutex_watershed(number: int, first: Labels, second: Labels, weights: npt.NDArray[np.floating]) -> Labels:
    """The cluster of each node (N,), named by its first node (Wolf et al., ECCV 2018, algorithm 1).

    By falling absolute weight, an attractive edge joins the clusters of its ends unless they exclude each
    other, and a repulsive one makes them exclude each other unless they are the same.

    Args:
        number: The number of nodes N.
        first: One node of each edge (E,).
        second: The other node of each edge (E,).
        weights: Weights of the edges (E,), positive where they attract.
    """
    clusters = list(range(number))
    excluded: list[set[int]] = [set() for _ in clusters]
    order = np.argsort(-np.abs(weights), kind="stable")
    edges = zip(first[order].tolist(), second[order].tolist(), weights[order].tolist(), strict=True)
    for kept, merged, weight in edges:
        # `_root` of both: calls of it took a third of the time
        while clusters[kept] != kept:
            clusters[kept] = kept = clusters[clusters[kept]]
        while clusters[merged] != merged:
            clusters[merged] = merged = clusters[clusters[merged]]
        if kept == merged:
            continue
        if not weight > 0:
            excluded[kept].add(merged)
            excluded[merged].add(kept)
        elif merged not in excluded[kept]:
            if len(excluded[kept]) < len(excluded[merged]):
                kept, merged = merged, kept
            clusters[merged] = kept
            for enemy in excluded[merged]:
                excluded[enemy].remove(merged)
                excluded[enemy].add(kept)
            excluded[kept] |= excluded[merged]
    roots = [_root(clusters, node) for node in range(number)]
    _, firsts, cluster = np.unique(roots, return_index=True, return_inverse=True)
    return firsts.astype(np.int32)[cluster]


def _root(clusters: list[int], node: int) -> int:
    """The node that a node's chain of `clusters` ends in; the chain is shortened on the way."""
    while clusters[node] != node:
        clusters[node] = clusters[clusters[node]]
        node = clusters[node]
    return node
