"""What was measured of a run under corruptions: its file, and means over severities and families."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from fusionseg.config.errors import UserError
from fusionseg.corruptions import CORRUPTIONS
from fusionseg.files.atomic import Json, write_json

Figures: TypeAlias = dict[str, float]
"""Figures of a set of images by their names; NaN where nothing could be measured."""

FAMILY = {corruption.name: corruption.family for corruption in CORRUPTIONS}
"""The family of each corruption."""


@dataclass
class Results:
    """What was measured of a run on its validation images.

    Attributes:
        meaning: All that the figures depend on: figures of another meaning are not gone on with.
        images: A digest of the images' names and the classes: runs of other images are not compared.
        count: The number of images.
        trained_on: The families that training showed.
        clean: The figures of the images as they are.
        corrupted: Those of corrupted ones, by corruption and severity.
    """

    meaning: Json
    images: str
    count: int
    trained_on: tuple[str, ...]
    clean: Figures = field(default_factory=dict)
    corrupted: dict[str, dict[int, Figures]] = field(default_factory=dict)

    def add(self, corruption: str, severity: int, figures: Figures) -> None:
        """Adds the figures of corrupted images."""
        found = {**self.corrupted.get(corruption, {}), severity: figures}
        self.corrupted[corruption] = dict(sorted(found.items()))

    def has(self, corruption: str, severity: int) -> bool:
        """Whether a corruption was measured at a severity."""
        return severity in self.corrupted.get(corruption, {})

    def mean(self, figure: str, corruptions: Iterable[str], severities: Iterable[int]) -> float:
        """The mean of a figure over severities, then over the corruptions of each family, then over families.

        Each family counts once, however many corruptions are of it.

        Args:
            figure: The name of the figure.
            corruptions: The corruptions.
            severities: The severities.
        """
        chosen = tuple(severities)
        by_family: dict[str, list[float]] = {}
        for name in corruptions:
            measured = self.corrupted.get(name, {})
            over = [measured[s].get(figure, math.nan) for s in chosen if s in measured]
            by_family.setdefault(FAMILY.get(name, name), []).append(_mean(over))
        return _mean([_mean(values) for values in by_family.values()])

    def write(self, path: Path) -> None:
        """Writes all as JSON, atomically."""
        content = {
            "split": "val",
            "images": self.count,
            "trained_on": self.trained_on,
            "clean": self.clean,
            "corrupted": self.corrupted,
            "image_digest": self.images,
            "meaning": self.meaning,
        }
        write_json(path, content)

    @classmethod
    def read(cls, path: Path) -> "Results":
        """What `write` wrote.

        Raises:
            UserError: If the file holds something else.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                meaning=dict(content["meaning"]),
                images=str(content["image_digest"]),
                count=int(content["images"]),
                trained_on=tuple(content["trained_on"]),
                clean=_figures(content["clean"]),
                corrupted={
                    name: {int(severity): _figures(figures) for severity, figures in found.items()}
                    for name, found in content["corrupted"].items()
                },
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}: expected what `fusionseg evaluate --corruptions` writes, found something else: "
                "remove it"
            ) from error


def _figures(content: Mapping[str, float | None]) -> Figures:
    """Figures as JSON has them, with NaN for null."""
    return {name: math.nan if value is None else float(value) for name, value in content.items()}


def _mean(values: Iterable[float]) -> float:
    """The mean of those that could be measured; NaN if there are none."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan
