"""Delta-m: what a multi-task model gains over single-task baselines, on average over the tasks."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fusionseg.studies.statistics.intervals import Interval, mean_interval


@dataclass(frozen=True)
class DeltaM:
    """The mean relative gain over single-task baselines.

    Attributes:
        value: Delta-m as a fraction, the mean over seeds: 0.02 is a gain of 2 %; NaN without any seed.
        interval: The same with spread and Student's t interval over seeds; its ends are NaN where a seed is
            missing.
        tasks: The mean relative gain of each task, positive where the multi-task model is better.
        seeds: The seeds that all tasks and baselines have, in order.
        missing: The seeds that one of them lacks, or for which a baseline is 0 or not finite, in order.
    """

    value: float
    interval: Interval
    tasks: dict[str, float]
    seeds: tuple[int, ...]
    missing: tuple[int, ...]


def delta_m(
    results: Mapping[str, Mapping[int, float]],
    baselines: Mapping[str, Mapping[int, float]],
    lower_is_better: Collection[str] = (),
    level: float = 0.95,
) -> DeltaM:
    """Delta-m of a multi-task variant (Maninis et al. 2019, eq. 2; Vandenhende et al. 2021, eq. 1).

    `1 / T * sum over tasks of (-1)^l * (M_multi - M_single) / |M_single|`, with l = 1 for metrics of which
    less is better. It is computed of each seed against the baselines of that seed, and then averaged.

    >>> results = {"miou": {0: 0.66, 1: 0.63}, "rmse": {0: 0.45, 1: 0.54}}
    >>> baselines = {"miou": {0: 0.60, 1: 0.60}, "rmse": {0: 0.50, 1: 0.50}}
    >>> gain = delta_m(results, baselines, lower_is_better=["rmse"])
    >>> round(gain.value, 3), {task: round(value, 3) for task, value in gain.tasks.items()}
    (0.043, {'miou': 0.075, 'rmse': 0.01})

    Args:
        results: The figure of each seed of the multi-task model, by the tasks' metrics: one metric a task.
        baselines: The figure of each seed of the single-task model of each of these tasks.
        lower_is_better: The metrics of which less is better, such as errors.
        level: The level of the interval, in (0, 1).

    Raises:
        ValueError: If the tasks of results and baselines differ, there are none, or the level is not between
            0 and 1.
    """
    if not results or results.keys() != baselines.keys():
        raise ValueError(
            f"expected a baseline for each task, found results of {', '.join(results) or 'no task'} and "
            f"baselines of {', '.join(baselines) or 'no task'}"
        )
    every = sorted({seed for figures in (*results.values(), *baselines.values()) for seed in figures})
    gains = np.array(
        [
            [
                _gain(results[task].get(seed), baselines[task].get(seed), task in lower_is_better)
                for seed in every
            ]
            for task in results
        ]
    )
    complete = np.isfinite(gains).all(0)
    missing = tuple(seed for seed, known in zip(every, complete, strict=True) if not known)
    common = gains[:, complete]
    interval = mean_interval(common.mean(0).tolist(), level)
    return DeltaM(
        value=interval.mean,
        interval=replace(interval, low=math.nan, high=math.nan) if missing else interval,
        tasks={
            task: float(row.mean()) if row.size else math.nan
            for task, row in zip(results, common, strict=True)
        },
        seeds=tuple(seed for seed, known in zip(every, complete, strict=True) if known),
        missing=missing,
    )


def _gain(result: float | None, baseline: float | None, lower_is_better: bool) -> float:
    """The relative gain of a task, positive where it is better; NaN where it is not defined."""
    if result is None or not baseline:
        return math.nan
    change = (result - baseline) / abs(baseline)
    return -change if lower_is_better else change
