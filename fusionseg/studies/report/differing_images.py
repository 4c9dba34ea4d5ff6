"""The images on which variants differ most, with what each of them makes of them."""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from fusionseg.runs.image_records import TEXTS
from fusionseg.sample import Picture
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.figures import bare
from fusionseg.studies.run_result import RunResult

Painter: TypeAlias = Callable[[RunResult, str, Sequence[str]], Mapping[str, Mapping[str, Picture]]]
"""From a run, a split and names of images to the pictures of each image by their titles."""

MOST_VARIANTS = 6
"""So many variants are shown beside each other."""


@dataclass(frozen=True)
class DifferingImage:
    """An image that variants differ on.

    Attributes:
        name: Its name.
        deciding: The deciding figure of this image alone, mean over seeds, by variant.
        figures: All figures of this image alone, mean over seeds, by variant and name.
        pictures: Its pictures by variant and title.
    """

    name: str
    deciding: Mapping[str, float]
    figures: Mapping[str, Mapping[str, float]]
    pictures: Mapping[str, Mapping[str, Picture]]

    @property
    def range(self) -> float:
        """How much the variants differ by the deciding figure."""
        return max(self.deciding.values()) - min(self.deciding.values())


def differing_images(numbers: Analysis, most: int, painter: Painter) -> list[DifferingImage]:
    """The images on which the shown variants differ most, the most first.

    Args:
        numbers: The numbers of the report.
        most: How many.
        painter: What predicts them again.

    Raises:
        UserError: If the painter cannot.
        OSError: If a file is missing.
    """
    variants = shown_variants(numbers)
    found = _figures(numbers, variants)
    ranked = sorted(found, key=lambda image: -image.range)[:most]
    names = [image.name for image in ranked]
    if not names:
        return []
    asked = numbers.asked
    rows = {name: painter(asked.finished(name)[0], asked.split, names) for name in variants}
    return [
        replace(image, pictures={v: rows[v][image.name] for v in variants if image.name in rows[v]})
        for image in ranked
    ]


def shown_variants(numbers: Analysis) -> list[str]:
    """The reference, the best and the worst variant, and others up to a few, in the order of the study."""
    asked = numbers.asked
    having = [name for name in asked.variants if asked.finished(name)]
    means = {name: numbers.mean(name, asked.metric).mean for name in having}
    known = sorted((name for name in having if means[name] == means[name]), key=lambda name: means[name])
    first = [asked.reference, *known[-1:], *known[:1], *having]
    some = [name for name in dict.fromkeys(first) if name in having][:MOST_VARIANTS]
    return [name for name in asked.variants if name in some]


def _figures(numbers: Analysis, variants: Sequence[str]) -> list[DifferingImage]:
    """The images that at least two variants have the deciding figure of, without pictures."""
    asked = numbers.asked
    found: dict[str, dict[str, dict[str, float]]] = {}
    for variant in variants:
        runs = [_of_images(run, asked.split) for run in asked.finished(variant)]
        for name in runs[0] if runs else ():
            found.setdefault(name, {})[variant] = _means([run[name] for run in runs if name in run])
    images = []
    for name, figures in found.items():
        comparable = [
            v for v in figures if asked.counts(v, asked.metric) and bare(asked.metric) in figures[v]
        ]
        if len(comparable) > 1:
            deciding = {v: figures[v][bare(asked.metric)] for v in comparable}
            images.append(DifferingImage(name, deciding, figures, {}))
    return images


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure that all rows have."""
    return {key: sum(row[key] for row in rows) / len(rows) for key in rows[0] if all(key in r for r in rows)}


def _of_images(run: RunResult, split: str) -> dict[str, dict[str, float]]:
    """The figures of each image of an evaluation, as far as they are defined; none of a damaged file."""
    path = run.sums(split).with_suffix(".csv")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row["name"]: _numbers(row) for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, csv.Error):
        return {}


def _numbers(row: Mapping[str, str]) -> dict[str, float]:
    """The numbers of a row."""
    texts = {key: text for key, text in row.items() if key not in TEXTS and text}
    return {key: float(text) for key, text in texts.items() if math.isfinite(float(text))}
