"""Adds up how well the probabilities of an evaluation are calibrated, with their temperatures and without."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from fusionseg.config.errors import UserError
from fusionseg.files.atomic import Json
from fusionseg.metrics import BoundaryCalibration, ClassCalibration
from fusionseg.metrics.suite import total
from fusionseg.metrics.undefined import undefined
from fusionseg.sample import Array, Classes, Counted, Prediction, Truth

RELIABILITY = {"semantic": "calibration", "region": "boundary_calibration"}
"""The sum of each task that is its reliability table."""

LEVELS = {"semantic": "confidence_levels", "region": "boundary_confidence_levels"}
"""The sum of each task that counts errors by confidence."""


class Measured(NamedTuple):
    """What was measured of one task's probabilities.

    Attributes:
        task: `semantic`, of the probabilities of classes, or `region`, of that of a boundary.
        temperature: What their logits were divided by.
        sums: The added sums of the images.
        figures: The figures of these.
    """

    task: str
    temperature: float
    sums: Counted
    figures: dict[str, float]

    @property
    def pixels(self) -> int:
        """How many pixels were measured."""
        return int(self.sums[RELIABILITY[self.task]][:, 0].sum())


class Calibration:
    """Adds up the calibration of probabilities of classes and of boundaries, image by image.

    Where a temperature is not 1, what there would be without it is measured too.

    Args:
        classes: The classes of the data.
        temperatures: The temperature by task, which the predictions have; 1 where left out.
        band: The width of the band around boundaries, see `BoundaryCalibration`.

    Raises:
        ValueError: If the band is negative.
    """

    extras = ("log_probabilities", "contour_logits")

    def __init__(
        self, classes: Classes, temperatures: Mapping[str, float] | None = None, band: float | None = None
    ) -> None:
        self.classes = classes
        self.metrics = {"semantic": ClassCalibration(len(classes)), "region": BoundaryCalibration(band)}
        known = temperatures or {}
        self.temperatures = {task: known.get(task, 1.0) for task in self.metrics}
        self.sums: dict[tuple[str, float], Counted] = {}

    def add(self, prediction: Prediction, truth: Truth) -> None:
        """Adds an image.

        Raises:
            UserError: If nothing predicts the probabilities of classes or of boundaries.
        """
        answers = {task: prediction.get(metric.answer) for task, metric in self.metrics.items()}
        if all(answer is None for answer in answers.values()):
            raise UserError(
                "calibration is of the probabilities of classes or boundaries, and the model predicts "
                f"neither, only {', '.join(prediction.maps)}: leave --calibration out"
            )
        for task, answer in answers.items():
            if answer is None:
                continue
            temperature = self.temperatures[task]
            versions = {temperature: answer}
            if temperature != 1:
                versions[1.0] = untempered(answer, temperature)
            for key, version in versions.items():
                sums = self.metrics[task].sums(version, truth)
                self.sums[task, key] = total([self.sums.get((task, key), {}), sums])

    def measured(self) -> list[Measured]:
        """What was measured of each task that has probabilities, first with its temperature, then without."""
        return [
            Measured(task, temperature, sums, self.metrics[task].figures(sums))
            for (task, temperature), sums in self.sums.items()
        ]

    def figures(self) -> Json:
        """The figures of all images: `metrics`, and `per_class` those of each class.

        Where a task has one also its `temperatures` and, as `untempered`, the figures without it.
        """
        found: Json = {"metrics": {}, "per_class": {}}
        for task, temperature, sums, figures in self.measured():
            if temperature == self.temperatures[task]:
                found["metrics"] |= figures
                columns = self.metrics[task].per_class(sums)
                if columns:
                    rows = enumerate(self.classes.names)
                    found["per_class"] = {name: {k: v[i] for k, v in columns.items()} for i, name in rows}
            else:
                found.setdefault("untempered", {}).update(figures)
                found.setdefault("temperatures", {})[task] = self.temperatures[task]
        return found

    def notes(self) -> list[str]:
        """What the figures do not show."""
        return [f"calibration: {line}" for line in undefined(self.figures()["metrics"])]


def untempered(answer: Array, temperature: float) -> Array:
    """Log-probabilities (C, H, W) or logits (H, W) as they would be at a temperature of 1.

    Args:
        answer: Those at the temperature.
        temperature: What the network's logits were divided by.
    """
    logits: Array = answer * np.float32(temperature)
    if logits.ndim == 3:
        logits -= logits.max(0)
        logits -= np.log(np.exp(logits).sum(0))
    return logits
