"""The Berkeley boundary benchmark: precision and recall over thresholds, ODS, OIS and average precision.

Counts and aggregation are those of the benchmark's own code (Arbelaez et al., TPAMI 2011, section 3.1; Martin
et al., TPAMI 2004). Its matching looks for the smallest total distance among matchings that are nearly always
of maximum cardinality, and breaks ties at random; here the cardinality is the maximum. On single images the
F-measures differ by up to 0.003.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from fusionseg.config.errors import UserError
from fusionseg.metrics.contingency import Counts, Floats, ratio
from fusionseg.metrics.correspondence import correspondence
from fusionseg.metrics.thinning import Masks, thinned

CURVE_COLUMNS = ("recalled", "truth", "found", "predicted")
"""The columns of `boundary_counts`."""

PIXELS = 2**25
"""Pixels of predicted maps that are matched at once, so that large images fit into memory."""

STEPS = 100
"""In how many steps precision and recall are interpolated between two thresholds."""


def even_thresholds(count: int) -> Floats:
    """From 1 / (count + 1) to 1 - 1 / (count + 1), rounded as MATLAB's `linspace` does.

    Maps of 8 bits have values that are exactly at a threshold, so that the last bit decides.

    Raises:
        UserError: If there are not 1 to 9999 of them.
    """
    if not 1 <= count <= 9999:
        raise UserError(f"expected 1 to 9999 thresholds, found {count}")
    first = 1 / (count + 1)
    last = 1 - first
    thresholds: Floats = first + np.arange(count) * (last - first) / max(count - 1, 1)
    return thresholds


def levels(strength: Floats, thresholds: Floats) -> Iterator[Masks]:
    """The boundary maps (H, W) of a soft map (H, W): where it is at least each threshold."""
    return (strength >= threshold for threshold in thresholds)


def mostly_boundary(strength: Floats, thresholds: Floats) -> bool:
    """Whether more than half of a soft map is boundary at the middle threshold, as an inverted one is."""
    return bool(np.mean(strength >= thresholds[len(thresholds) // 2]) > 0.5)


def boundary_counts(
    predicted: Iterable[Masks] | Masks, true: Iterable[Masks] | Masks, radius: float, thin: bool = True
) -> Counts:
    """Boundary pixels of one image and how many of them were matched one to one: (T, 4), `CURVE_COLUMNS`.

    The counts are additive over images. Each annotator is matched on its own. The true pixels of all
    annotators are added; a predicted pixel is found if it is matched with any of them.

    Args:
        predicted: Boundary maps (H, W), one for each of T thresholds.
        true: Boundary maps (H, W), one for each annotator.
        radius: The largest distance of two matched pixels, in pixels.
        thin: Whether predicted maps are thinned first, as the benchmark does.

    Raises:
        ValueError: If there is no annotator or no predicted map, or the sizes differ.
    """
    maps = [*true]
    if not maps:
        raise ValueError("expected at least one annotator, found none")
    people = np.stack(maps)
    radius = min(radius, float(np.hypot(*people.shape[1:])))
    rows: list[Counts] = []
    for part, repeats in _parts(predicted):
        if part.shape[1:] != people.shape[1:]:
            raise ValueError(f"expected maps of one size, found {part.shape[1:]} and {people.shape[1:]}")
        thin_part = thinned(part) if thin else part
        match = correspondence(thin_part, people, radius)
        truth = np.full(len(part), np.count_nonzero(people))
        found = [match.recalled.sum(1), truth, match.found, np.count_nonzero(thin_part, (1, 2))]
        rows.append(np.repeat(np.stack(found, 1), repeats, 0))
    if not rows:
        raise ValueError("expected predicted maps, one for each threshold, found none")
    return np.concatenate(rows)


def _parts(maps: Iterable[Masks]) -> Iterator[tuple[Masks, list[int]]]:
    """The maps in parts of at most `PIXELS` (or of one map), without repetitions of the one before.

    Returns:
        The maps (N, H, W) of each part, and how often each of them follows itself.
    """
    part: list[Masks] = []
    repeats: list[int] = []
    for map_ in maps:
        if part and np.array_equal(map_, part[-1]):
            repeats[-1] += 1
            continue
        if part and (len(part) + 1) * map_.size > PIXELS:
            yield np.stack(part), repeats
            part = []
            repeats = []
        part.append(map_)
        repeats.append(1)
    if part:
        yield np.stack(part), repeats


def curve(counts: Floats | Counts) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F-measure (...) of counts (..., 4); 0 where nothing is to be divided by.

    The benchmark writes 0 there: without boundaries nothing is found or recalled.
    """
    recalled, truth, found, predicted = np.moveaxis(np.asarray(counts), -1, 0)
    recall = np.nan_to_num(ratio(recalled, truth))
    precision = np.nan_to_num(ratio(found, predicted))
    return precision, recall, f_measure(precision, recall)


def f_measure(precision: Floats, recall: Floats) -> Floats:
    """The harmonic mean, 0 where both are 0."""
    return np.nan_to_num(ratio(2 * precision * recall, precision + recall))


def best_point(thresholds: Floats, precision: Floats, recall: Floats) -> dict[str, float]:
    """The point of the curve with the largest F-measure: `threshold`, `precision`, `recall` and `f`.

    Between two thresholds precision and recall are interpolated linearly, as in the benchmark.
    """
    share = np.linspace(0, 1, STEPS)
    fine = [
        np.concatenate([values[:1], *(values[:-1, None] * (1 - share) + values[1:, None] * share)])
        for values in (thresholds, precision, recall)
    ]
    f = f_measure(fine[1], fine[2])
    best = int(f.argmax())
    names = ("threshold", "precision", "recall", "f")
    return {name: float(values[best]) for name, values in zip(names, [*fine, f], strict=True)}


def average_precision(precision: Floats, recall: Floats) -> float:
    """The area under precision over recall, from 0 to 1 in steps of 0.01; 0 outside of the curve."""
    known, at = np.unique(recall, return_index=True)
    if known.size < 2:
        return 0.0
    return float(np.interp(np.arange(101) / 100, known, precision[at], left=0, right=0).sum() / 100)


def own_best(counts: Counts) -> Counts:
    """The counts (4,) of an image (T, 4) at the threshold that is best for it, the first of equal ones."""
    best: Counts = counts[curve(counts)[2].argmax()]
    return best


def boundary_curve_figures(counts: Counts, own: Counts, thresholds: Floats) -> dict[str, float]:
    """`ods`, its threshold, precision and recall, `ois` and `ap` of a set of images, in [0, 1].

    ODS is the largest F-measure at one threshold for all images, OIS that of each image at its own best one,
    AP the area under the curve. All are NaN where no image has a true boundary pixel.

    Args:
        counts: The sum of `boundary_counts` over the images (T, 4).
        own: The sum of `own_best` over the images (4,).
        thresholds: The thresholds (T,), ascending.
    """
    precision, recall, _ = curve(counts)
    best = best_point(thresholds, precision, recall)
    own_precision, own_recall, own_f = curve(own)
    figures = {
        "ods": best["f"],
        "ods_threshold": best["threshold"],
        "ods_precision": best["precision"],
        "ods_recall": best["recall"],
        "ois": float(own_f),
        "ois_precision": float(own_precision),
        "ois_recall": float(own_recall),
        "ap": average_precision(precision, recall),
    }
    return figures if counts[0, 1] else dict.fromkeys(figures, float("nan"))
