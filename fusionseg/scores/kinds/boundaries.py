"""Soft boundaries or partitions against drawn boundaries, as the Berkeley benchmark counts: ODS, OIS, AP."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fusionseg.config.errors import UserError
from fusionseg.files.images import LABEL_SUFFIXES, read_labels
from fusionseg.files.matching import some
from fusionseg.files.matlab import drawn_boundaries, segmentation
from fusionseg.files.soft_maps import SOFT_SUFFIXES, read_soft_map
from fusionseg.metrics.benchmark_sums import soft_boundaries
from fusionseg.metrics.boundary_curve import (
    CURVE_COLUMNS,
    best_point,
    boundary_counts,
    boundary_curve_figures,
    curve,
    mostly_boundary,
    own_best,
)
from fusionseg.metrics.boundary_rules import BoundaryRules
from fusionseg.metrics.contingency import Counts, Floats
from fusionseg.metrics.edges import boundaries
from fusionseg.metrics.thinning import Masks
from fusionseg.scores.pairs import pairs
from fusionseg.scores.result import Curve, Scores, Value
from fusionseg.scores.thresholds import shared_thresholds, thresholds_of
from fusionseg.scores.workers import mapped

ABOUT = """Scores boundaries as the Berkeley benchmark does (Arbelaez et al., TPAMI 2011): predictions are
thinned at each threshold and matched one to one with those of each annotator. Truths are BSDS500's .mat files
or PNG boundary maps, predictions gray PNG (boundaries are bright), or .mat files with ucm2 or segs."""


@dataclass
class Options:
    """The arguments of the command.

    Args:
        truth: Folder of the true boundaries, or one file.
        prediction: Folder of the predictions, or one file; names match up to the suffix.
        out: JSON file to write to, beside which the rows and the curve are written.
        thresholds: Number of thresholds, evenly from 0 to 1, or a list of them in ascending order,
            such as [0.2, 0.5].
        max_distance: Largest distance of two matched pixels, as a fraction of the image's diagonal; 0.0075
            for BSDS500, 0.011 for NYUD.
        max_pixels: The same in pixels, in place of the fraction.
        nms: Whether predictions go through Dollar's non-maximum suppression first, as in most papers since
            2013.
        thin: Whether predictions are thinned at each threshold; without it and without nms, crispness counts.
        common: Whether images that only one side has are left out.
        jobs: Number of processes; one for each core where left out.
    """

    truth: Path
    prediction: Path
    out: Path | None = None
    thresholds: int | list[float] = 99
    max_distance: float = 0.0075
    max_pixels: float | None = None
    nms: bool = False
    thin: bool = True
    common: bool = False
    jobs: int | None = None


class _Pair(NamedTuple):
    """What a worker needs to know of an image."""

    truth: Path
    prediction: Path


class _Counted(NamedTuple):
    """What a worker counts of an image."""

    thresholds: Floats
    counts: Counts
    crispness: float
    inverted: bool


def score(options: Options) -> Scores:
    """Scores two folders.

    Raises:
        UserError: If files are missing, cannot be read, or do not fit together.
    """
    rules = BoundaryRules(options.max_distance, options.max_pixels, options.nms, options.thin)
    even = thresholds_of(options.thresholds)
    found, notices = pairs(
        options.truth, options.prediction, {".mat", *LABEL_SUFFIXES}, {".mat", *SOFT_SUFFIXES}, options.common
    )
    measured = mapped(
        partial(_count, rules=rules, thresholds=even),
        [_Pair(*files) for files in found.values()],
        options.jobs,
    )
    thresholds = shared_thresholds(
        {name: image.thresholds for name, image in zip(found, measured, strict=True)}
    )
    counts = np.stack([image.counts for image in measured])
    own = np.sum([own_best(image) for image in counts], 0)
    figures = boundary_curve_figures(counts.sum(0), own, thresholds)
    crisp = [image.crispness for image in measured]
    if not np.isnan(crisp).all():
        figures["crispness"] = float(np.nanmean(crisp))
    names = list(found)
    return Scores(
        metrics=figures,
        rows=_rows(names, thresholds, counts),
        images=len(names),
        curve=_curve(thresholds, counts, figures),
        best=_best(names, thresholds, counts),
        notices=[*notices, *_notices(names, measured, counts)],
    )


def _count(pair: _Pair, rules: BoundaryRules, thresholds: Floats) -> _Counted:
    """Reads and counts one image."""
    true = _true(pair.truth)
    found = _predicted(pair.prediction, thresholds, rules)
    if found.shape != true[0].shape:
        raise UserError(
            f"expected boundaries of one size, found {true[0].shape} in {pair.truth} and {found.shape} in "
            f"{pair.prediction} (height, width): write predictions at the size of the photos"
        )
    counts = boundary_counts(found.maps, true, rules.radius(found.shape), rules.thin)
    return _Counted(found.thresholds, counts, found.crispness, found.inverted)


def _true(path: Path) -> list[Masks]:
    """The boundary maps of a truth, one for each annotator."""
    if path.suffix.lower() == ".mat":
        return [*drawn_boundaries(path)]
    ids = read_labels(path)
    values = np.unique(ids)
    if values.size > 2 or (values.size == 2 and values[0] != 0):
        raise UserError(
            f"expected true boundaries in {path}, 0 where there is none and one other value, found "
            f"{values.size} values: it may be a soft map, or a map of regions"
        )
    drawn = ids > 0
    if drawn.mean() > 0.5:
        raise UserError(
            f"expected true boundaries, 0 where there is none, found {drawn.mean():.0%} of the pixels to be "
            f"boundary in {path}: it may be inverted, or a map of regions"
        )
    return [drawn]


class _Predicted(NamedTuple):
    """A prediction: its size, and its boundary map at each threshold."""

    shape: tuple[int, ...]
    thresholds: Floats
    maps: Iterable[Masks]
    crispness: float
    inverted: bool


def _predicted(path: Path, thresholds: Floats, rules: BoundaryRules) -> _Predicted:
    """Reads a prediction; partitions are not crisp (NaN), and their thresholds are their numbers."""
    if path.suffix.lower() == ".mat":
        found = segmentation(path)
        if found.ultrametric is None:
            maps = (boundaries(partition, np.ones(partition.shape, bool)) for partition in found.partitions)
            numbers = np.arange(1.0, len(found.partitions) + 1)
            return _Predicted(found.partitions[0].shape, numbers, maps, float("nan"), inverted=False)
        strength = found.ultrametric[2::2, 2::2]
    else:
        strength = read_soft_map(path)
    at_thresholds, crisp = soft_boundaries(strength, thresholds, rules)
    inverted = mostly_boundary(strength, thresholds)
    return _Predicted(strength.shape, thresholds, at_thresholds, crisp, inverted)


def _rows(names: Sequence[str], thresholds: Floats, counts: Counts) -> list[dict[str, Value]]:
    """What each image has at each threshold."""
    precision, recall, f = curve(counts)
    rows: list[dict[str, Value]] = []
    for image, name in enumerate(names):
        for at, threshold in enumerate(thresholds):
            numbers = dict(zip(CURVE_COLUMNS, counts[image, at].tolist(), strict=True))
            shares = {"precision": precision[image, at], "recall": recall[image, at], "f": f[image, at]}
            rows.append(
                {"image": name, "threshold": float(threshold), **numbers}
                | {name: float(value) for name, value in shares.items()}
            )
    return rows


def _best(names: Sequence[str], thresholds: Floats, counts: Counts) -> list[dict[str, Value]]:
    """The best point of each image, as in the benchmark's `eval_bdry_img.txt`."""
    precision, recall, _ = curve(counts)
    points = [best_point(thresholds, *own) for own in zip(precision, recall, strict=True)]
    return [{"image": name, **point} for name, point in zip(names, points, strict=True)]


def _curve(thresholds: Floats, counts: Counts, figures: dict[str, float]) -> Curve:
    """Precision and recall of all images."""
    values = [thresholds, *curve(counts.sum(0))]
    names = ("threshold", "precision", "recall", "f")
    points = [dict(zip(names, map(float, point), strict=True)) for point in zip(*values, strict=True)]
    marked = {name: (figures[f"{name}_precision"], figures[f"{name}_recall"]) for name in ("ods", "ois")}
    return Curve("Boundaries", points, marked)


def _notices(names: Sequence[str], measured: Sequence[_Counted], counts: Counts) -> list[str]:
    """What may be wrong with some images."""
    notices = []
    if inverted := [name for name, image in zip(names, measured, strict=True) if image.inverted]:
        notices.append(
            f"more than half of the pixels are boundaries at the middle threshold in {some(inverted)}: "
            "boundaries are bright, so this may be an inverted map"
        )
    if empty := [name for name, own in zip(names, counts, strict=True) if not own[0, 1]]:
        notices.append(
            f"no true boundary in {some(empty)}: what is predicted there is wrong, nothing is missed"
            + (": no figure is defined" if len(empty) == len(names) else "")
        )
    if silent := [name for name, own in zip(names, counts, strict=True) if not own[:, 3].any()]:
        notices.append(f"no predicted boundary at any threshold in {some(silent)}: they count as missed")
    if counts.shape[1] > 1 and len(np.unique(counts.sum(0), axis=0)) == 1:
        notices.append(
            "predictions are the same at all thresholds: they have no curve, and ap is 0 as in the benchmark"
        )
    return notices
