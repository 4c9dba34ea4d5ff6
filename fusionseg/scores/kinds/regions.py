"""Partitions against the regions that people drew, as the Berkeley benchmark counts: covering, PRI, VI."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fusionseg.config.errors import UserError
from fusionseg.files.images import LABEL_SUFFIXES, read_labels
from fusionseg.files.matching import some
from fusionseg.files.matlab import drawn_regions, segmentation
from fusionseg.metrics.boundary_curve import mostly_boundary
from fusionseg.metrics.contingency import Floats
from fusionseg.metrics.region_curve import (
    RegionCurve,
    region_curve,
    region_curve_figures,
    region_curve_sums,
    ultrametric_partitions,
)
from fusionseg.sample import IntMap
from fusionseg.scores.pairs import pairs
from fusionseg.scores.result import Scores, Value
from fusionseg.scores.thresholds import shared_thresholds, thresholds_of
from fusionseg.scores.workers import mapped

ABOUT = """Scores partitions into regions as the Berkeley benchmark does (Arbelaez et al., TPAMI 2011). Truths
are BSDS500's .mat files or label maps of ids (PNG, TIFF, NPY; 0 is void), predictions .mat files with ucm2 or
segs, or label maps."""


@dataclass
class Options:
    """The arguments of the command.

    Args:
        truth: Folder of the true regions, or one file.
        prediction: Folder of the predictions, or one file; names match up to the suffix.
        out: JSON file to write to, beside which the rows are written.
        thresholds: Number of thresholds of ucm2, evenly from 0 to 1, or a list of them in ascending order,
            such as [0.2, 0.5].
        common: Whether images that only one side has are left out.
        jobs: Number of processes; one for each core where left out.
    """

    truth: Path
    prediction: Path
    out: Path | None = None
    thresholds: int | list[float] = 99
    common: bool = False
    jobs: int | None = None


class _Measured(NamedTuple):
    """What a worker measures of an image.

    Args:
        thresholds: The thresholds of its partitions.
        curve: What it adds; None where nobody labeled a pixel.
        void: The share of the pixels of a true label map that have id 0.
        inverted: Whether most of an ultrametric map is boundary.
    """

    thresholds: Floats
    curve: RegionCurve | None
    void: float
    inverted: bool


def score(options: Options) -> Scores:
    """Scores two folders.

    Raises:
        UserError: If files are missing, cannot be read, or do not fit together, or no pixel is labeled.
    """
    even = thresholds_of(options.thresholds)
    suffixes = {".mat", *LABEL_SUFFIXES}
    found, notices = pairs(options.truth, options.prediction, suffixes, suffixes, options.common)
    measured = mapped(partial(_measure, thresholds=even), list(found.values()), options.jobs)
    labeled = {name: one for name, one in zip(found, measured, strict=True) if one.curve is not None}
    if not labeled:
        raise UserError(f"expected labeled pixels, found none in {options.truth}: everything is void")
    thresholds = shared_thresholds({name: one.thresholds for name, one in labeled.items()})
    curves = {name: one.curve for name, one in labeled.items() if one.curve is not None}
    each = [region_curve_sums(curve) for curve in curves.values()]
    total = {name: np.sum([sums[name] for sums in each], 0) for name in each[0]}
    return Scores(
        metrics=region_curve_figures(total, thresholds),
        rows=_rows(curves, thresholds),
        images=len(curves),
        notices=[*notices, *_notices(dict(zip(found, measured, strict=True)))],
    )


def _measure(files: tuple[Path, Path], thresholds: Floats) -> _Measured:
    """Reads and measures one image."""
    truth, prediction = files
    true: list[IntMap]
    void = 0.0
    if truth.suffix.lower() == ".mat":
        true = [*drawn_regions(truth)]
    else:
        true = [_ids(truth)]
        void = float(np.mean(true[0] == 0))
    predicted = _predicted(prediction, thresholds)
    curve = None
    if any(map_.any() for map_ in true):
        checked = _checked(predicted.partitions, true[0].shape, truth, prediction)
        curve = _printed(region_curve(checked, true))
    return _Measured(predicted.thresholds, curve, void, predicted.inverted)


def _ids(path: Path) -> IntMap:
    ids = read_labels(path)
    if ids.min(initial=0) < 0:
        raise UserError(f"expected region ids that are not negative, found {ids.min()} in {path}")
    return ids


class _Predicted(NamedTuple):
    """The partitions of a prediction, their thresholds, and whether most of a contour map is boundary."""

    thresholds: Floats
    partitions: Iterator[IntMap]
    inverted: bool


def _predicted(path: Path, thresholds: Floats) -> _Predicted:
    """Reads a prediction."""
    if path.suffix.lower() != ".mat":
        return _Predicted(np.ones(1), iter([_ids(path)]), inverted=False)
    found = segmentation(path)
    if found.ultrametric is None:
        return _Predicted(np.arange(1.0, len(found.partitions) + 1), iter(found.partitions), inverted=False)
    partitions = ultrametric_partitions(found.ultrametric, thresholds)
    return _Predicted(thresholds, partitions, mostly_boundary(found.ultrametric[2::2, 2::2], thresholds))


def _checked(
    partitions: Iterator[IntMap], shape: tuple[int, ...], truth: Path, prediction: Path
) -> Iterator[IntMap]:
    """The partitions, each of the truth's size."""
    for partition in partitions:
        if partition.shape != shape:
            raise UserError(
                f"expected regions of one size, found {shape} in {truth} and {partition.shape} in "
                f"{prediction} (height, width): write predictions at the size of the photos"
            )
        yield partition


def _printed(curve: RegionCurve) -> RegionCurve:
    """The numbers with the six digits of the benchmark's files, from which published figures come."""
    return RegionCurve(*(np.vectorize(lambda value: float(f"{value:g}"))(values) for values in curve))


def _notices(measured: Mapping[str, _Measured]) -> list[str]:
    """What may be wrong with some images."""
    notices = []
    if inverted := [name for name, one in measured.items() if one.inverted]:
        notices.append(
            f"more than half of the pixels are boundaries at the middle threshold in {some(inverted)}: "
            "boundaries have large values, so this may be an inverted map"
        )
    if part := [name for name, one in measured.items() if 0 < one.void < 1]:
        share = np.mean([one.void for one in measured.values()])
        notices.append(
            f"{share:.1%} of the true pixels have id 0, which is void, and are left out ({some(part)}): "
            "mind maps whose first region is 0"
        )
    if void := [name for name, one in measured.items() if one.curve is None]:
        notices.append(f"no labeled pixel in {some(void)}: left out")
    return notices


def _rows(curves: Mapping[str, RegionCurve], thresholds: Floats) -> list[dict[str, Value]]:
    """What each image has at each threshold."""
    rows: list[dict[str, Value]] = []
    for name, curve in curves.items():
        columns = {
            "covering": curve.covered / curve.pixels,
            "covering_of_prediction": curve.partition_covered / curve.partition_pixels,
            "pri": curve.rand,
            "vi": curve.voi,
        }
        for at, threshold in enumerate(thresholds):
            figures = {column: float(values[at]) for column, values in columns.items()}
            rows.append({"image": name, "threshold": float(threshold), **figures})
    return rows
