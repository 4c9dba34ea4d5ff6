"""Region maps from pixel embeddings: clusters by mean shift, then the nearest cluster of every pixel."""

import math
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.heads.limits import warn_of_limit
from fusionseg.heads.region_decoding import filled

Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int32]

_SAMPLES = 2**15
"""Clusters are found among about this many pixels of an output, or all if there are fewer."""

_LEADERS = 64
"""At most this many leaders are chosen at a time."""

_SHIFTS = 3
"""Number of steps of the mean shift."""

_REACH = 1.5
"""Pixels farther than this from every center, in bandwidths, belong to no cluster."""

_DISTANCES = 2**20
"""Number of distances that are computed at a time: so many fit into a CPU's cache."""


def clustered(
    embeddings: Vectors,
    output: Vectors,
    bandwidth: float = 1.0,
    min_area: int = 1,
    max_clusters: int = 4096,
    extent: tuple[float, float] | None = None,
    reach: int = 1,
    cut: tuple[bool, bool] = (False, False),
) -> Numbers:
    """The region map, int32 (H, W) from 1, of the clusters of embeddings, which need not be connected.

    Clusters are found by leaders and mean shift. Leaders are pixels that are not within the bandwidth of one
    another, but each of a horizontal and a vertical neighbor, so that none lies on the way from one region to
    another. Each moves to the mean of the pixels within the bandwidth, three times; of those that end within
    the bandwidth of each other, the one of most pixels is a cluster. Pixels join the nearest cluster within
    one and a half bandwidths. All others, such as mixtures of two regions along their border, join the
    nearest region in the image; without any cluster all are region 1.

    Args:
        embeddings: Embeddings (E, H, W) at the wanted size.
        output: The same embeddings (E, h, w) before they were enlarged, among which clusters are found: in
            every row and column, or if there are many, in every second, third ...; a region smaller than a
            square of 2 x 2 of these pixels may be missed.
        bandwidth: Radius of a cluster.
        min_area: Regions of fewer pixels are merged into their neighbors.
        max_clusters: At most this many leaders are chosen, spread over the image, with a warning.
        extent: The height and width of what the embeddings show of the output, by default all of it.
        reach: Each of the embeddings is a mean of those of the output at most so many rows and columns from
            its place there.
        cut: Whether the output had more rows, and more columns, of which the last embeddings are means too.
    """
    step = math.ceil((output[0].size / _SAMPLES) ** 0.5)
    grid = output[:, step // 2 :: step, step // 2 :: step]
    samples = np.ascontiguousarray(grid.reshape(len(grid), -1).T)
    finite = np.isfinite(samples).all(1)
    with np.errstate(invalid="ignore", over="ignore"):
        centers = _leaders(samples[finite & _flat(grid, bandwidth).ravel()], bandwidth, max_clusters)
        for _ in range(_SHIFTS):
            centers = _shifted(samples[finite], centers, bandwidth)
        guess = _nearest(samples, centers, _REACH * bandwidth).reshape(grid.shape[1:])
        numbers = _joined(embeddings, output, centers, guess, _REACH * bandwidth, extent, reach, cut)
        region = filled(numbers)
    kept = np.bincount(region.ravel()) >= min_area
    kept[0] = False
    return filled(np.where(kept, kept.cumsum(), 0).astype(np.int32)[region])


def _flat(image: Vectors, bandwidth: float) -> npt.NDArray[np.bool_]:
    """Which pixels (H, W) of (E, H, W) have a horizontal and a vertical neighbor within the bandwidth."""
    across = np.square(np.diff(image, axis=2)).sum(0) < bandwidth**2
    down = np.square(np.diff(image, axis=1)).sum(0) < bandwidth**2
    beside = np.pad(across, ((0, 0), (1, 0))) | np.pad(across, ((0, 0), (0, 1)))
    above = np.pad(down, ((1, 0), (0, 0))) | np.pad(down, ((0, 1), (0, 0)))
    return np.asarray(beside & above)


def _leaders(samples: Vectors, bandwidth: float, max_clusters: int) -> Vectors:
    """Samples (K, E) that are not within the bandwidth of each other, while all samples (N, E) are of one."""
    leaders = samples[:0]
    while len(samples) > 0 and len(leaders) < max_clusters:
        stride = math.ceil(len(samples) / _LEADERS)
        chosen = samples[::stride]
        chosen = chosen[_distinct(chosen, bandwidth)]
        far = _nearest(samples, chosen, bandwidth) == 0
        far[::stride] = False  # whatever rounding says, so that the loop ends
        leaders = np.concatenate([leaders, chosen])
        samples = samples[far]
    if len(samples) > 0 or len(leaders) > max_clusters:
        warn_of_limit("max_clusters", max_clusters)
    return leaders[:max_clusters]


def _shifted(samples: Vectors, centers: Vectors, bandwidth: float) -> Vectors:
    """The means of the samples (N, E) within the bandwidth of each center (K, E), without near-duplicates."""
    sums = np.zeros((len(centers), centers.shape[1] + 1), np.float32)
    counted = np.pad(samples, ((0, 0), (0, 1)), constant_values=1)
    for part, squares in _distances(samples, centers):
        near = np.less(squares, bandwidth**2, out=squares)  # as numbers, 1 where it is near
        sums += near.T @ counted[part]
    counts = sums[:, -1]
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    means = np.asarray(sums[order, :-1] / counts[order, None], np.float32)
    return means[_distinct(means, bandwidth)]


def _distinct(centers: Vectors, bandwidth: float) -> npt.NDArray[np.bool_]:
    """Which centers (K,) are not within the bandwidth of an earlier one that is distinct itself."""
    near = _squares(centers, centers) < bandwidth**2
    distinct = np.zeros(len(centers), bool)
    for i, row in enumerate(near):
        distinct[i] = not (row & distinct).any()
    return distinct


def _nearest(points: Vectors, centers: Vectors, radius: float) -> Numbers:
    """The number (N,) from 1 of the center (K, E) nearest to a point (N, E), 0 if none is in the radius."""
    numbers = np.zeros(len(points), np.int32)
    for part, squares in _distances(points, centers):
        nearest = squares.argmin(1)
        near = _lengths(points[part] - centers[nearest]) < radius**2
        numbers[part] = np.where(near, nearest + 1, 0)
    return numbers


def _joined(
    embeddings: Vectors,
    output: Vectors,
    centers: Vectors,
    guess: Numbers,
    radius: float,
    extent: tuple[float, float] | None,
    reach: int,
    cut: tuple[bool, bool],
) -> Numbers:
    """The number (H, W) of the nearest center of every pixel, as `_nearest` has it.

    A point nearer to a center than half the way to the next center is nearer to it than to any other. Such
    points are a ball, so that all means of points in it lie in it too: where the pixels of the output around
    a place do so, which is almost everywhere, no distance is computed.

    Args:
        embeddings: Embeddings (E, H, W).
        output: The same embeddings (E, h, w) before they were enlarged.
        centers: Centers (K, E).
        guess: A guess at the result, of any size.
        radius: Largest distance to a center.
        extent: See `clustered`.
        reach: See `clustered`.
        cut: See `clustered`.
    """
    between = _squares(centers, centers)
    np.fill_diagonal(between, np.inf)
    # the first stands for pixels of no center, of which nothing is evident
    evident = np.append(np.float32(0), np.minimum(between.min(0, initial=np.inf) / 4, radius**2))
    places = np.concatenate([np.zeros_like(centers, shape=(1, len(output))), centers])
    low = _taken(guess, output.shape[1:])
    low[~_within(output.reshape(len(output), -1).T, places, evident, low.ravel()).reshape(low.shape)] = 0
    sure = _unanimous(low, reach)
    rows, columns = (slice(-reach, None) if more else slice(0) for more in cut)
    sure[rows] = 0
    sure[:, columns] = 0
    numbers = _taken(sure, embeddings.shape[1:], extent)
    rest = np.flatnonzero(numbers == 0)
    points = np.ascontiguousarray(embeddings.reshape(len(embeddings), -1)[:, rest].T)
    guessed = _taken(guess, embeddings.shape[1:]).ravel()[rest]
    doubtful = np.flatnonzero(~_within(points, places, evident, guessed))
    guessed[doubtful] = _nearest(points[doubtful], centers, radius)
    np.put(numbers, rest, guessed)
    return numbers


def _within(points: Vectors, places: Vectors, squares: Vectors, numbers: Numbers) -> npt.NDArray[np.bool_]:
    """Whether the squared distance of each point (N, E) to the place of its number is below the number's."""
    # numbers are in range, and numpy is three times as fast where it need not look
    near = np.subtract(points, places.take(numbers, 0, mode="clip"))
    return np.asarray(_lengths(near) < squares.take(numbers, mode="clip"))


def _unanimous(numbers: Numbers, reach: int) -> Numbers:
    """The numbers (h, w), 0 where one at most `reach` rows and columns away is another."""
    window = np.ones((2 * reach + 1,) * 2, np.uint8)
    shown = numbers.astype(np.uint16)
    return np.where(cv2.erode(shown, window) == cv2.dilate(shown, window), numbers, 0).astype(np.int32)


def _taken(numbers: Numbers, size: tuple[int, ...], extent: tuple[float, float] | None = None) -> Numbers:
    """The nearest numbers (h, w) at another size (H, W), which takes up a part of theirs."""
    rows, columns = (
        ((np.arange(new) + 0.5) * (part / new)).astype(np.intp).clip(max=old - 1)
        for new, old, part in zip(size, numbers.shape, extent or numbers.shape, strict=True)
    )
    return np.asarray(numbers.take(rows, 0).take(columns, 1))


def _distances(points: Vectors, centers: Vectors) -> Iterator[tuple[slice, Vectors]]:
    """The squared distances (n, K) of points (N, E) to centers (K, E), part by part; none without centers."""
    if len(centers) == 0:
        return
    step = max(1, _DISTANCES // len(centers))
    for first in range(0, len(points), step):
        part = slice(first, first + step)
        yield part, _squares(points[part], centers)


def _squares(points: Vectors, centers: Vectors) -> Vectors:
    """The squared distances (N, K) of points (N, E) to centers (K, E), within rounding."""
    # |p|^2 - 2 p . c + |c|^2 as one product
    left = np.column_stack([points, _lengths(points), np.ones(len(points), np.float32)])
    right = np.column_stack([-2 * centers, np.ones(len(centers), np.float32), _lengths(centers)])
    return np.asarray(left @ right.T)


def _lengths(vectors: Vectors) -> Vectors:
    """The squared lengths (N,) of vectors (N, E)."""
    return np.asarray(np.einsum("ne,ne->n", vectors, vectors))
