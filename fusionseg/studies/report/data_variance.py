"""How much the differences of variants depend on the images: the paired bootstrap of data-set figures."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fusionseg.metrics import MetricSuite
from fusionseg.studies.report.facts import things_of
from fusionseg.studies.report.figures import bare
from fusionseg.studies.report.numbers import listed
from fusionseg.studies.report.question import Question
from fusionseg.studies.report.score_parts import score_parts
from fusionseg.studies.report.suites import suite_of_sums
from fusionseg.studies.run_result import RunResult
from fusionseg.studies.statistics import (
    BootstrapInterval,
    ImageResampling,
    ImageSums,
    bootstrap_interval,
    image_sums,
    resampled_figures,
)

Floats: TypeAlias = npt.NDArray[np.float64]

RESAMPLES = 1000
"""How often images are drawn."""

AGREEMENT = 1e-6
"""How close a figure of the sums is to that of the evaluation, if both are of the same thing."""


class NoIntervalError(Exception):
    """Why there is no interval over images; the message is shown in the report."""


@dataclass(frozen=True)
class Resampled:
    """The figures of a variant on the data set and on each resample of its images.

    Attributes:
        images: The names of the images.
        values: The tested figures (1 + R, M), averaged over the variant's seeds.
        resampling: Which images were drawn.
    """

    images: tuple[str, ...]
    values: Floats
    resampling: ImageResampling


def image_intervals(
    asked: Question, resamples: int = RESAMPLES
) -> dict[tuple[str, str], BootstrapInterval | str]:
    """The difference of each variant from the reference with its interval over images, or why there is none.

    Args:
        asked: The question.
        resamples: How often images are drawn.

    Returns:
        By variant and figure.
    """
    found: dict[tuple[str, str], BootstrapInterval | str] = {}
    reference = _attempted(asked, asked.reference, resamples)
    for variant in asked.others:
        own = reference if isinstance(reference, str) else _attempted(asked, variant, resamples)
        for place, metric in enumerate(asked.metrics):
            found[variant, metric] = _difference(own, reference, place)
    return found


def _attempted(asked: Question, variant: str, resamples: int) -> Resampled | str:
    """The resampled figures of a variant, or why there are none."""
    try:
        return _resampled(asked, variant, resamples)
    except NoIntervalError as error:
        return str(error)


def _difference(own: Resampled | str, reference: Resampled | str, place: int) -> BootstrapInterval | str:
    """The interval of one figure's difference from the reference, or why there is none."""
    if isinstance(own, str):
        return own
    if isinstance(reference, str):
        return reference
    if own.images != reference.images:
        return "evaluated on other images than the reference"
    values = own.values[:, place] - reference.values[:, place]
    if math.isnan(values[0]):
        return "the sums of images do not give this figure"
    return bootstrap_interval(values, own.resampling)


def _resampled(asked: Question, variant: str, resamples: int) -> Resampled:
    """The resampled figures of a variant.

    Raises:
        NoIntervalError: If a seed is missing, or an evaluation has no sums that give the figures.
    """
    if missing := asked.missing(variant):
        raise NoIntervalError(f"{'seeds' if len(missing) > 1 else 'seed'} {listed(missing)} missing")
    runs = asked.finished(variant)
    suite = _suite(runs[0], _sums(runs[0], asked.split).shapes, asked)
    names = [name for metric in suite for name in metric.names]
    sums = [_sums(run, asked.split, names) for run in runs]
    if len({one.names for one in sums}) > 1:
        raise NoIntervalError("its seeds were evaluated on different images")

    def figures(added: Floats) -> list[float]:
        measured = suite.figures(sums[0].named(added))
        return [measured.get(bare(metric), math.nan) for metric in asked.metrics]

    for run, one in zip(runs, sums, strict=True):
        _check_figures(run, one, figures(np.asarray(one.rows.sum(0))), asked.metrics)
    resampling = ImageResampling(len(sums[0].names), sums[0].groups, resamples)
    values = resampled_figures([one.rows for one in sums], figures, resampling)
    return Resampled(sums[0].names, values, resampling)


def _sums(run: RunResult, split: str, names: Collection[str] | None = None) -> ImageSums:
    path = run.sums(split)
    try:
        return image_sums(path, names)
    except (OSError, ValueError, KeyError) as error:
        reason = "missing" if isinstance(error, FileNotFoundError) else "damaged"
        raise NoIntervalError(f"the sums of images are {reason} ({path.name} of seed {run.seed})") from error


def _suite(run: RunResult, shapes: Mapping[str, tuple[int, ...]], asked: Question) -> MetricSuite:
    """The metrics that the tested figures come from, and no others, since they are computed many times."""
    suite = suite_of_sums(shapes, things_of(run, asked.split), score_parts(run.figures, asked.split))
    names = {bare(metric) for metric in asked.metrics}
    zeros = {name: np.zeros(shape) for name, shape in shapes.items()}
    kept = [
        metric
        for metric in suite
        if names & metric.figures(zeros).keys() or ("score" in names and metric.main)
    ]
    if not kept:
        raise NoIntervalError("the sums of images do not give this figure")
    return MetricSuite(kept, suite.untrained)


def _check_figures(run: RunResult, sums: ImageSums, found: Sequence[float], metrics: Sequence[str]) -> None:
    """Raises NoIntervalError if the sums are not those of the figures, such as of another evaluation."""
    for metric, value in zip(metrics, found, strict=True):
        known = run.figures.get(metric, math.nan)
        if (
            math.isfinite(known)
            and math.isfinite(value)
            and abs(known - value) > AGREEMENT * max(1, abs(known))
        ):
            raise NoIntervalError(
                f"the sums of {len(sums.names)} images give {metric} {value:.4f} with seed {run.seed}, the "
                f"evaluation has {known:.4f}"
            )
