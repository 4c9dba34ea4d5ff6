"""Ranks of variants by several metrics, and how stable they are under resampling of seeds."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RankedVariant:
    """The ranks of a variant, 1 the best; those of equal variants are averaged.

    Attributes:
        name: The name of the variant.
        ranks: Its rank by each metric, from the mean over seeds.
        mean_rank: The mean of these.
        place: The rank of its mean rank.
        first: The share of resamples in which its mean rank is the best; those who share the first place
            share the resample.
        kept: The share of resamples in which it has the same place.
    """

    name: str
    ranks: dict[str, float]
    mean_rank: float
    place: float
    first: float
    kept: float


@dataclass(frozen=True)
class Ranking:
    """The variants in the order of their mean ranks.

    Attributes:
        variants: The ranked variants, the best first.
        seeds: The seeds that all of these have, of which the ranks are.
        unranked: The variants that lack a planned seed, or all of them.
    """

    variants: tuple[RankedVariant, ...]
    seeds: tuple[int, ...]
    unranked: tuple[str, ...]


def ranking(
    results: Mapping[str, Mapping[str, Mapping[int, float]]],
    lower_is_better: Collection[str] = (),
    planned: Collection[int] = (),
    resamples: int = 2000,
    seed: int = 0,
) -> Ranking:
    """Ranks variants by each metric, and counts how often resampled seeds would rank them alike.

    Seeds are drawn with replacement, the same for all variants. From few seeds this is too optimistic: a
    resample of 3 lacks about one of them. With a single seed the shares are NaN.

    >>> results = {
    ...     "joint": {"miou": {0: 0.74, 1: 0.71, 2: 0.75}, "covering": {0: 0.61, 1: 0.60, 2: 0.62}},
    ...     "single": {"miou": {0: 0.72, 1: 0.74, 2: 0.71}, "covering": {0: 0.60, 1: 0.61, 2: 0.60}},
    ... }
    >>> for variant in ranking(results).variants:
    ...     print(variant.name, variant.ranks, variant.mean_rank, round(variant.first, 1))
    joint {'miou': 1.0, 'covering': 1.0} 1.0 0.7
    single {'miou': 2.0, 'covering': 2.0} 2.0 0.3

    Args:
        results: The figure of each seed, by variant and metric; every variant has the same metrics.
        lower_is_better: The metrics of which less is better, such as errors.
        planned: The seeds of the study: a variant that lacks one is not ranked.
        resamples: How often seeds are drawn.
        seed: The seed of these draws.

    Raises:
        ValueError: If two variants have different metrics.
    """
    metrics = list(next(iter(results.values()), {}))
    for name, figures in results.items():
        if set(figures) != set(metrics):
            raise ValueError(
                f"expected the same metrics of every variant, found {', '.join(metrics)} and of {name} "
                f"{', '.join(figures)}"
            )
    having = {name: _seeds(figures) for name, figures in results.items()}
    ranked = [name for name, seeds in having.items() if seeds and seeds >= set(planned)]
    common = sorted(set.intersection(*(having[name] for name in ranked))) if ranked else []
    names = ranked if common else []
    values = np.array(
        [
            [[_signed(results[name][metric][s], metric in lower_is_better) for s in common] for name in names]
            for metric in metrics
        ]
    )
    return Ranking(
        variants=_ranked(names, metrics, values, resamples, seed) if names and metrics else (),
        seeds=tuple(common),
        unranked=tuple(name for name in results if name not in names),
    )


def average_ranks(values: Floats) -> Floats:
    """The ranks along the last axis, 1 the largest; equal values share the mean of theirs.

    >>> average_ranks(np.array([0.7, 0.9, 0.7, 0.1])).tolist()
    [2.5, 1.0, 2.5, 4.0]
    """
    larger = (values[..., None, :] > values[..., :, None]).sum(-1)
    equal = (values[..., None, :] == values[..., :, None]).sum(-1)
    return larger + (equal + 1) / 2  # type: ignore[no-any-return]


def _ranked(
    names: list[str], metrics: list[str], values: Floats, resamples: int, seed: int
) -> tuple[RankedVariant, ...]:
    """The variants from their figures (metrics, variants, seeds), of which more is better."""
    count = values.shape[-1]
    ranks = np.stack([average_ranks(metric.mean(-1)) for metric in values])
    places = average_ranks(-ranks.sum(0))
    drawn = np.random.default_rng(seed).integers(count, size=(resamples, count))
    # metric by metric, since the comparison of all pairs of variants in all resamples is large
    sums = np.sum([average_ranks(metric[:, drawn].mean(-1).T) for metric in values], axis=0)
    best = sums == sums.min(1, keepdims=True)
    first = (best / best.sum(1, keepdims=True)).mean(0)
    kept = (average_ranks(-sums) == places).mean(0)
    order = np.argsort(places, kind="stable")
    return tuple(
        RankedVariant(
            name=names[v],
            ranks=dict(zip(metrics, ranks[:, v].tolist(), strict=True)),
            mean_rank=float(ranks[:, v].mean()),
            place=float(places[v]),
            first=float(first[v]) if count > 1 else math.nan,
            kept=float(kept[v]) if count > 1 else math.nan,
        )
        for v in order
    )


def _seeds(figures: Mapping[str, Mapping[int, float]]) -> set[int]:
    """The seeds for which every metric is finite."""
    finite = [{s for s, value in metric.items() if math.isfinite(value)} for metric in figures.values()]
    return set.intersection(*finite) if finite else set()


def _signed(value: float, lower_is_better: bool) -> float:
    return -value if lower_is_better else value
