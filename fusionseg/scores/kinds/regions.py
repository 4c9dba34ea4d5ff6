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
from fusionseg.files.matlab import annotations, segmentation
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
        thresholds: Number of thresholds of ucm2, evenly from 0 to 1, or a list of them in ascending order.
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
    """What a worker measures of an image; no curve where nobody labeled a pixel."""

    thresholds: Floats
    curve: RegionCurve | None


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
    void = [name for name in found if name not in labeled]
    notices += [f"no labeled pixel in {some(void)}: left out"] if void else []
    return Scores(
        metrics=region_curve_figures(total, thresholds),
        rows=_rows(curves, thresholds),
        images=len(curves),
        notices=notices,
    )


def _measure(files: tuple[Path, Path], thresholds: Floats) -> _Measured:
    """Reads and measures one image."""
    truth, prediction = files
    true: list[IntMap]
    if truth.suffix.lower() == ".mat":
        true = [annotation.region for annotation in annotations(truth)]
    else:
        true = [_ids(truth)]
    thresholds, partitions = _partitions(prediction, thresholds)
    checked = _checked(partitions, true[0].shape, truth, prediction)
    if not any(map_.any() for map_ in true):
        return _Measured(thresholds, None)
    return _Measured(thresholds, _printed(region_curve(checked, true)))


def _ids(path: Path) -> IntMap:
    ids = read_labels(path)
    if ids.min(initial=0) < 0:
        raise UserError(f"expected region ids that are not negative, found {ids.min()} in {path}")
    return ids


def _partitions(path: Path, thresholds: Floats) -> tuple[Floats, Iterator[IntMap]]:
    """The partitions of a prediction and their thresholds."""
    if path.suffix.lower() != ".mat":
        return np.ones(1), iter([_ids(path)])
    found = segmentation(path)
    if found.ultrametric is not None:
        return thresholds, ultrametric_partitions(found.ultrametric, thresholds)
    return np.arange(1.0, len(found.partitions) + 1), iter(found.partitions)


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
