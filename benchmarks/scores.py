"""Times official scores: boundary matching against scipy's and pyEdgeEval's, and what a set of images takes.

Needs the folder of BSDS500 with gPb's contour maps (`ucm2/test`), which FUSIONSEG_DATA/BSDS500 is by default.
pyEdgeEval, which has Berkeley's C++ code, is built in a temporary folder; where that fails, a line says so.

python -m benchmarks.scores [--root BSDS500] [--images 3] [--rounds 5] [--jobs 2]
"""

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import bmat, csr_array, eye_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import KDTree

from benchmarks.timing import Target, command_line, ratios, show
from fusionseg.files.matlab import drawn_boundaries, segmentation
from fusionseg.metrics.boundary_curve import even_thresholds, levels
from fusionseg.metrics.correspondence import correspondence
from fusionseg.metrics.thinning import Masks, thinned
from fusionseg.scores.kinds import boundaries, regions

MATCHED = slice(9, None, 10)
"""The thresholds, of 99, that are matched where scipy is timed too: at 0.01 it takes minutes for one pair."""

UNMATCHED = 100.0
"""Cost of a pixel without partner, in units of the tolerance, as in the Berkeley benchmark."""


class Problem(NamedTuple):
    """An image whose boundaries are to be matched.

    Args:
        predicted: Thinned boundary maps (N, H, W).
        true: Boundary maps of the annotators (M, H, W).
        relative: Tolerance as a share of the diagonal.
    """

    predicted: Masks
    true: Masks
    relative: float = 0.0075

    @property
    def radius(self) -> float:
        """The tolerance in pixels."""
        return self.relative * float(np.hypot(*self.true.shape[1:]))


def problem(prediction: Path, truth: Path) -> Problem:
    """The boundaries of an image at some thresholds."""
    contours = segmentation(prediction).ultrametric
    if contours is None:
        raise ValueError(f"expected ucm2 in {prediction}, found partitions")
    maps = thinned(np.stack([*levels(contours[2::2, 2::2], even_thresholds(99)[MATCHED])]))
    true = np.stack(drawn_boundaries(truth))
    return Problem(maps, true)


def ours(problems: Sequence[Problem]) -> list[list[list[int]]]:
    """The sizes of all matchings."""
    return [correspondence(one.predicted, one.true, one.radius).recalled.tolist() for one in problems]


def scipys(problems: Sequence[Problem]) -> list[list[list[int]]]:
    """The same by scipy, one matching after the other."""
    return [
        [[scipy_matching(first, second, one.radius) for second in one.true] for first in one.predicted]
        for one in problems
    ]


def scipy_matching(first: Masks, second: Masks, radius: float) -> int:
    """The size of a matching of least cost, with a dummy for each pixel so that it is full."""
    pixels = [np.argwhere(map_) for map_ in (first, second)]
    if not all(map(len, pixels)):
        return 0
    trees = [KDTree(side) for side in pixels]
    near = trees[0].sparse_distance_matrix(trees[1], radius + 1e-9, output_type="coo_matrix")
    # explicit zeros are no edges to scipy
    edges = csr_array((near.data + 1.0, (near.row, near.col)), shape=near.shape)
    sizes = [len(side) for side in pixels]
    dummies = [UNMATCHED * radius * eye_array(size, format="csr") for size in sizes]
    mirrored = csr_array(edges.T)
    mirrored.data[:] = 1.0
    graph = csr_array(bmat([[edges, dummies[0]], [dummies[1], mirrored]]))
    rows, columns = min_weight_full_bipartite_matching(graph)
    return int(((rows < sizes[0]) & (columns < sizes[1])).sum())


def pyedgeeval_matching(folder: str) -> Callable[..., Any] | None:
    """PyEdgeEval's matching, built in a folder; None, and a line, where it cannot be."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        folder,
        "pyEdgeEval",
    ]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode:
        reason = (built.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"pyEdgeEval cannot be built here, so that it is not timed: {reason}")
        return None
    sys.path.insert(0, folder)
    try:
        found: Callable[..., Any] = importlib.import_module("pyEdgeEval._lib").correspond_pixels
    except ImportError as error:
        print(f"pyEdgeEval cannot be imported here, so that it is not timed: {error}")
        return None
    finally:
        sys.path.remove(folder)
    return found


def pyedgeevals(problems: Sequence[Problem], match: Callable[..., Any]) -> list[list[list[int]]]:
    """The same by pyEdgeEval, whose graph is thinned at random so that its matchings may be smaller."""
    return [
        [
            [int((match(first, second, one.relative)[1] > 0).sum()) for second in one.true]
            for first in one.predicted
        ]
        for one in problems
    ]


def matching(pairs: Sequence[tuple[Path, Path]], rounds: int) -> None:
    """Prints the time of the others' matchings over ours.

    Raises:
        RuntimeError: If the sizes of the matchings differ; pyEdgeEval's by more than a hundredth.
    """
    problems = [problem(*pair) for pair in pairs]
    variants: dict[str, Callable[[], list[list[list[int]]]]] = {
        "fusionseg": partial(ours, problems),
        "scipy": partial(scipys, problems),
    }
    with tempfile.TemporaryDirectory() as folder:
        if match := pyedgeeval_matching(folder):
            variants["pyEdgeEval"] = partial(pyedgeevals, problems, match)
        sizes = {name: np.concatenate([np.ravel(one) for one in call()]) for name, call in variants.items()}
        for name, size in sizes.items():
            tolerance = 0.01 if name == "pyEdgeEval" else 0
            if (np.abs(size - sizes["fusionseg"]) > tolerance * sizes["fusionseg"]).any():
                raise RuntimeError(f"expected matchings of one size, found others by {name}: not to be timed")
        measured = ratios(variants, "fusionseg", rounds)
    count = sum(len(one.predicted) * len(one.true) for one in problems)
    targets = {"scipy": Target(10, at_least=True), "pyEdgeEval": Target(5, at_least=True)}
    show(f"boundary matching, {count} pairs of maps", measured, targets)


def whole_set(root: Path, truth: Path, prediction: Path, jobs: int) -> None:
    """Prints how long scoring takes, and how long 200 images would take at that rate."""
    kinds = ((boundaries, 8), (regions, 10))
    for kind, minutes in kinds if any(prediction.glob("*.mat")) else kinds[:1]:  # soft maps have no regions
        start = perf_counter()
        scores = kind.score(kind.Options(truth, prediction, common=True, jobs=jobs))
        taken = perf_counter() - start
        name = kind.__name__.rpartition(".")[2]
        print(
            f"{name}: {scores.images} images of {root.name}, 99 thresholds, {jobs} processes: {taken:.1f} s, "
            f"or {taken / scores.images * 200 / 60:.1f} minutes for 200 (aim {minutes})"
        )


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("FUSIONSEG_DATA", ".")) / "BSDS500")
    parser.add_argument("--images", type=int, default=3, help="that scipy's matching is timed on")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--prediction",
        type=Path,
        help="folder of the set that is scored whole, in place of gPb's contour maps",
    )
    parser.add_argument("--skip-set", action="store_true", help="only time the matching")
    args = parser.parse_args()
    truth = args.root / "data" / "groundTruth" / "test"
    contours = args.root / "ucm2" / "test"
    files = sorted(contours.glob("*.mat"))[: args.images]
    matching([(file, truth / file.name) for file in files], args.rounds)
    if not args.skip_set:
        whole_set(args.root, truth, args.prediction or contours, args.jobs)


if __name__ == "__main__":
    main()
