"""The paired bootstrap over images of a figure of the whole data set, from additive sums per image."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fusionseg.studies.statistics.resampling import Floats, ImageResampling

Sums: TypeAlias = npt.NDArray[Any] | sparse.sparray | sparse.spmatrix
"""The additive sums of an evaluation, one row an image (N, K), dense or of scipy.sparse."""

Figure: TypeAlias = Callable[[Floats], Any]
"""From the added sums (K,) to a figure of the data set, or to an array of several."""

CHUNK = 8_000_000
"""So many numbers, at 8 bytes each, are held at once for the weights and sums of resamples."""


@dataclass(frozen=True)
class BootstrapInterval:
    """The difference of two variants on a data set, and how much it depends on the images.

    It speaks of these trained runs on other images, not of other trainings: data variance alone.

    Attributes:
        difference: The figure of a minus that of b on the data set as it is, averaged over their runs.
        low: The lower end of the interval; NaN where there are too few images.
        high: The upper end of the interval.
        groups: The number of groups of images; without groups that of images.
        note: What has to be said beside the interval, such as 'within these sequences only'; may be empty.
    """

    difference: float
    low: float
    high: float
    groups: int
    note: str


def paired_bootstrap(
    a: Sums | Sequence[Sums],
    b: Sums | Sequence[Sums],
    figure: Figure,
    groups: Sequence[Hashable] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> BootstrapInterval:
    """The interval of the difference of two variants over images, both on the same resampled images.

    The figure is computed anew from the added sums of each resample, and so is that of the data set (a mean
    IoU is no mean over images).

    >>> a = np.array([[8, 10], [6, 10], [9, 10], [7, 10]])  # intersection and union of each image
    >>> b = np.array([[6, 10], [5, 10], [8, 10], [5, 10]])
    >>> interval = paired_bootstrap(a, b, lambda sums: sums[0] / sums[1])
    >>> round(interval.difference, 3), interval.groups, interval.note
    (0.15, 4, 'within these images only')

    Args:
        a: The sums of one variant's run; of several runs (seeds) a list of them, whose figures are averaged
            within each resample.
        b: The sums of the other variant's run or runs, of the same images in the same order.
        figure: The figure of added sums.
        groups: The group of each image, where images are alike within sequences, cities or scenes, as
            `ImageResampling` takes it.
        resamples: How often the images are drawn.
        seed: The seed of the draws.
        level: The level of the interval, in (0, 1).

    Raises:
        ValueError: If the numbers of images differ, or an argument is out of range.
    """
    counts = {matrix.shape[0] for matrix in (*_runs(a), *_runs(b))}
    if len(counts) != 1:
        raise ValueError(
            "expected sums of the same images in the same order, found those of "
            f"{' and '.join(map(str, sorted(counts)))} images: evaluate all runs on the same split"
        )
    resampling = ImageResampling(counts.pop(), groups, resamples, seed)
    figures = resampled_figures(a, figure, resampling) - resampled_figures(b, figure, resampling)
    return bootstrap_interval(figures, resampling, level)


def resampled_figures(sums: Sums | Sequence[Sums], figure: Figure, resampling: ImageResampling) -> Floats:
    """The figure, or several, of the data set and of each resample (1 + R, ...), averaged over runs.

    Comparisons of many variants by many figures need this once a variant, with a `figure` that gives an array
    of all of them; `bootstrap_interval` takes the difference of two results.

    Args:
        sums: The sums of a run, or of several.
        figure: The figure of added sums, or an array of several figures.
        resampling: Which images are drawn; the same object for all variants that are compared.

    Raises:
        ValueError: If there is no run.
    """
    runs = _runs(sums)
    if not runs:
        raise ValueError("expected the sums of at least one run, found none")
    return np.mean([_resampled(run, figure, resampling) for run in runs], axis=0)  # type: ignore[no-any-return]


def bootstrap_interval(
    resampled: Floats, resampling: ImageResampling, level: float = 0.95
) -> BootstrapInterval:
    """The interval of a figure, or of a difference, from its values on the data set and the resamples.

    Args:
        resampled: The value on the data set, then that of each resample (1 + R,).
        resampling: Which images were drawn.
        level: The level of the interval, in (0, 1).

    Raises:
        ValueError: If the level is not between 0 and 1.
    """
    low, high = resampling.quantiles(resampled[1:], level)
    undefined = int(np.isnan(resampled[1:]).sum())
    left_out = f"{undefined} of {len(resampled) - 1} resamples have no figure" if undefined else ""
    note = "; ".join(filter(None, [resampling.note, left_out]))
    return BootstrapInterval(float(resampled[0]), low, high, resampling.groups, note)


def _resampled(run: Any, figure: Figure, resampling: ImageResampling) -> Floats:
    """The figures of one run on the data set and on each resample (1 + R, ...)."""
    images, width = run.shape
    figures = [figure(np.asarray(run.sum(0), np.float64).ravel())]
    for weights in resampling.weights(max(1, CHUNK // (images + width))):
        figures += [figure(added) for added in np.asarray(weights @ run)]
    return np.asarray(figures, np.float64)


def _runs(sums: Any) -> list[Any]:
    """The sums of each run, where they may be those of a single one."""
    return [sums] if isinstance(sums, np.ndarray) or sparse.issparse(sums) else list(sums)
