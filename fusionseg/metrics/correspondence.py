"""One-to-one matching of boundary pixels within a distance, of maximum cardinality, for many maps at once.

Every predicted map is matched with every true one. All of these problems are one sparse bipartite graph, in
which a pixel finds its neighbors by looking at fixed offsets, so that no list of edges is built. A greedy
matching, nearest pixels first, is completed along augmenting paths that are searched from all unmatched
pixels together, and a search tree that led nowhere is kept for the next round (Azad, Buluc and Pothen,
"Computing maximum cardinality matchings in parallel on bipartite graphs via tree-grafting", TPDS 2017).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fusionseg.metrics.contingency import Counts
from fusionseg.metrics.thinning import Masks

Ids = npt.NDArray[np.int32]


class Correspondence(NamedTuple):
    """How many boundary pixels have a partner.

    Args:
        found: Of each predicted map (N,), the pixels that were matched with at least one true map.
        recalled: Of each predicted map, the pixels of each true map that were matched with it (N, M).
    """

    found: Counts
    recalled: Counts


def correspondence(predicted: Masks, true: Masks, radius: float) -> Correspondence:
    """Matches boundary pixels one to one, as many as possible, each predicted map with each true map.

    Args:
        predicted: Boundary maps (N, H, W).
        true: Boundary maps (M, H, W).
        radius: The largest distance of two matched pixels, in pixels.

    Raises:
        ValueError: If the sizes differ.
    """
    if predicted.shape[1:] != true.shape[1:]:
        raise ValueError(f"expected boundary maps of one size, found {predicted.shape} and {true.shape}")
    graph = _Graph(predicted, true, radius)
    forest = _Forest(graph, graph.greedy())
    while forest.grow():
        forest.augment()
    matched = forest.mate >= 0
    of_predicted = matched[: graph.split].reshape(len(true), -1)
    of_true = matched[graph.split :].reshape(len(predicted), -1)
    found = _totals(np.any(of_predicted, 0, keepdims=True), graph.predicted_map, len(predicted))[0]
    return Correspondence(found, _totals(of_true, graph.true_map, len(true)))


def _totals(matched: Masks, owner: Counts, owners: int) -> Counts:
    """The number of matched pixels in each row, by the map that owns a pixel."""
    return np.stack([np.bincount(owner, row, owners) for row in matched]).astype(np.int64)


class _Graph:
    """The pixels of all problems as vertices, which find their neighbors by looking at offsets.

    A predicted pixel is one vertex for each true map, a true pixel one for each predicted map. Vertices are
    numbered with the predicted pixels first, `split` of them.
    """

    def __init__(self, predicted: Masks, true: Masks, radius: float) -> None:
        margin = int(radius)
        height, width = (side + 2 * margin for side in predicted.shape[1:])
        ids = np.full((len(predicted) + len(true), height, width), -1, np.int32)
        inner = ids[:, margin : height - margin, margin : width - margin]
        planes = []
        for maps, part in ((predicted, inner[: len(predicted)]), (true, inner[len(predicted) :])):
            owner, row, column = np.nonzero(maps)
            part[maps] = np.arange(owner.size, dtype=np.int32)
            planes.append((owner, (row + margin) * width + column + margin))
        self.ids = ids.reshape(-1)
        (self.predicted_map, predicted_place), (self.true_map, true_place) = planes
        predicted_size = self.predicted_map.size
        true_size = self.true_map.size
        self.split = predicted_size * len(true)
        plane = height * width
        # where a vertex looks for neighbors: in the other map of its problem, around its own place
        of_true = (len(predicted) + np.arange(len(true)))[:, None] * plane + predicted_place
        of_predicted = np.arange(len(predicted))[:, None] * plane + true_place
        self.place = np.concatenate([of_true.ravel(), of_predicted.ravel()])
        # the first vertex of the pixels that it finds there
        of_true = self.split + self.predicted_map * true_size
        of_predicted = self.true_map * predicted_size
        self.first = np.concatenate([np.tile(of_true, len(true)), np.tile(of_predicted, len(predicted))])
        down, right = np.mgrid[-margin : margin + 1, -margin : margin + 1].reshape(2, -1)
        distance = down**2 + right**2
        order = np.argsort(distance, kind="stable")
        order = order[distance[order] <= radius**2]
        self.steps = (down * width + right)[order]
        """The offsets of neighbors, nearest first."""

        sizes = [
            np.bincount(owner, minlength=len(maps))
            for owner, maps in ((self.predicted_map, predicted), (self.true_map, true))
        ]
        fewer = sizes[0][:, None] < sizes[1]
        self.fewer = np.concatenate([fewer[self.predicted_map].T.ravel(), ~fewer[:, self.true_map].ravel()])
        """Whether a vertex is on the side of its problem that has fewer."""

    def edges(self, vertices: Counts) -> tuple[Counts, Counts]:
        """All pairs of some vertices and their neighbors, the farthest neighbors first."""
        found = self.ids[self.place[vertices] + self.steps[::-1, None]]
        step, index = np.nonzero(found >= 0)
        having = vertices[index]
        return having, self.first[having] + found[step, index]

    def neighbors(self, vertices: Counts, step: int) -> tuple[Counts, Counts]:
        """The vertices that have a neighbor at an offset, and these neighbors."""
        found = self.ids[self.place[vertices] + step]
        some = found >= 0
        having = vertices[some]
        return having, self.first[having] + found[some]

    def greedy(self) -> Counts:
        """The partner of each vertex, -1 for none, in a matching of nearest pixels first."""
        mate = np.full(self.place.size, -1, np.int64)
        free = np.flatnonzero(self.fewer)
        for step in self.steps:
            # at one offset no vertex is the neighbor of two
            vertex, other = self.neighbors(free, step)
            unmatched = mate[other] < 0
            vertex = vertex[unmatched]
            other = other[unmatched]
            mate[vertex] = other
            mate[other] = vertex
            free = free[mate[free] < 0]
        return mate


class _Forest:
    """Alternating trees from the unmatched vertices of the sides with fewer vertices, the roots.

    Args:
        graph: The graph.
        mate: The partner of each vertex, -1 for none; improved in place.
    """

    def __init__(self, graph: _Graph, mate: Counts) -> None:
        self.graph = graph
        self.mate = mate
        self.root = np.full(mate.size, -1, np.int64)
        """The root of the tree that a vertex belongs to, -1 for none."""
        self.parent = np.full(mate.size, -1, np.int64)
        """From which vertex a vertex of the other side was reached."""
        self.end = np.full(mate.size, -1, np.int64)
        """The unmatched vertex that the tree of a root has reached, -1 for none."""
        self.leaves = np.flatnonzero(graph.fewer & (mate < 0))
        self.root[self.leaves] = self.leaves

    def grow(self) -> bool:
        """Grows all trees until each has reached an unmatched vertex or can grow no more; whether one has."""
        leaves = self.leaves
        while leaves.size:
            reached = [self.claim(*self.graph.edges(part)) for part in _blocks(leaves, self.graph.steps.size)]
            leaves = np.concatenate(reached)
            leaves = leaves[self.end[self.root[leaves]] < 0]
        return bool((self.end >= 0).any())

    def claim(self, vertices: Counts, others: Counts) -> Counts:
        """Adds to the trees of some vertices those of their neighbors that no tree has, and their partners.

        Returns:
            The partners, which are the new leaves.
        """
        new = self.root[others] < 0
        vertices = vertices[new]
        others = others[new]
        # of several vertices that reach the same neighbor the last one stays
        self.parent[others] = vertices
        kept = self.parent[others] == vertices
        vertices = vertices[kept]
        others = others[kept]
        roots = self.root[vertices]
        self.root[others] = roots
        partners = self.mate[others]
        unmatched = partners < 0
        self.end[roots[unmatched]] = others[unmatched]
        partners = partners[~unmatched]
        self.root[partners] = roots[~unmatched]
        return partners

    def augment(self) -> None:
        """Matches along the paths to the ends, and takes what it can of those trees into the others."""
        other = self.end[self.end >= 0]
        while other.size:
            vertex = self.parent[other]
            before = self.mate[vertex]
            self.mate[vertex] = other
            self.mate[other] = vertex
            other = before[before >= 0]
        inside = np.flatnonzero(self.root >= 0)
        released = inside[self.end[self.root[inside]] >= 0]
        self.root[released] = -1
        self.end[:] = -1
        orphans = released[~self.graph.fewer[released]]
        leaves = []
        for part in _blocks(orphans, self.graph.steps.size):
            others, vertices = self.graph.edges(part)
            within = self.root[vertices] >= 0
            leaves.append(self.claim(vertices[within], others[within]))
        self.leaves = np.concatenate(leaves)


def _blocks(vertices: Counts, steps: int) -> Iterator[Counts]:
    """The vertices in parts, at least one, whose neighbors at so many offsets fit into memory."""
    size = max(1, 2**21 // steps)
    return (vertices[start : start + size] for start in range(0, max(vertices.size, 1), size))
