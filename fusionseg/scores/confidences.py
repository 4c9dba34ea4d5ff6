"""The confidences of predicted instances, from a JSON file."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias
from unicodedata import normalize

import numpy as np

from fusionseg.config.errors import UserError
from fusionseg.files.matching import some
from fusionseg.metrics.contingency import Floats

Confidences: TypeAlias = Mapping[str, float]
"""The confidence of each predicted instance of an image, by its id or by the name of its mask."""


def read_confidences(path: Path) -> dict[str, Confidences]:
    """Reads `{image: {instance: confidence}}`.

    Raises:
        UserError: If there is no such file, or it has other content.
    """
    if not path.is_file():
        raise UserError(f"expected a JSON file of confidences, found no {path}")
    expected = f"expected {{image: {{id: confidence}}}} in {path}"
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{expected}, found no JSON: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{expected}, found {type(content).__name__}")
    for image, scores in content.items():
        if not isinstance(scores, dict):
            raise UserError(f"{expected}, found {type(scores).__name__} for image {image}")
        for instance, value in scores.items():
            if not _is_number(value):
                found = repr(value)[:50]
                raise UserError(f"{expected}, a finite number, found {found} for {instance} of {image}")
    return {
        normalize("NFC", image): {normalize("NFC", name): value for name, value in scores.items()}
        for image, scores in content.items()
    }


def _is_number(value: object) -> bool:
    """Whether a value of JSON is a finite number that a float can hold."""
    try:
        return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:
        return False


def check_images(confidences: Mapping[str, Confidences], images: Sequence[str], path: Path) -> None:
    """Checks that a file has confidences of known images only.

    Raises:
        UserError: If an image is unknown.
    """
    known = set(images)
    if unknown := [name for name in confidences if name not in known]:
        raise UserError(
            f"expected confidences of the predicted images in {path}, found those of {some(unknown)}: name "
            "images by their files without suffix"
        )


def in_order(confidences: Confidences, instances: Sequence[str], image: str, path: Path | None) -> Floats:
    """The confidences of the instances of an image, in their order.

    Args:
        confidences: Those of the image.
        instances: The names of its instances.
        image: Its name, for the message.
        path: The file, for the message.

    Raises:
        UserError: If the names differ.
    """
    known = set(instances)
    missing = [name for name in instances if name not in confidences]
    unknown = [name for name in confidences if name not in known]
    wrong = [f"none of {some(missing)}"] if missing else []
    wrong += [f"one of {some(unknown)}, which it does not have"] if unknown else []
    if wrong:
        raise UserError(
            f"expected a confidence of each predicted instance of {image} in {path}, found "
            f"{' and '.join(wrong)}"
        )
    return np.array([confidences[name] for name in instances], float)
