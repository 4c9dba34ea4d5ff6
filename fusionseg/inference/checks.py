"""Checks the arguments of a predictor, and whether a model has what is asked for."""

from collections.abc import Collection
from typing import Any

from fusionseg.config.errors import UsageError
from fusionseg.files.photos import ValueRange
from fusionseg.heads import RegionHead


def check_arguments(
    threads: int | None, batch_size: int, scale: float | None, value_range: ValueRange | None
) -> None:
    """Checks the arguments.

    Raises:
        UsageError: If one is out of its range.
    """
    if scale is not None and not scale > 0:
        raise UsageError(f"expected a size above 0, found {scale}", "scale")
    if value_range is not None and not value_range[0] < value_range[1]:
        raise UsageError(f"expected two numbers, low and high, found {list(value_range)}", "value_range")
    if batch_size < 1:
        raise UsageError(f"expected at least 1 image, found {batch_size}", "batch_size")
    if threads is not None and threads < 1:
        raise UsageError(f"expected at least 1 thread, found {threads}", "threads")


def check_asked(model: Any, asked: Collection[str]) -> None:
    """Checks that a model has what is asked for besides labels.

    Args:
        model: A LightningModule with heads.
        asked: `probabilities` or `entropy`, which take classes, or `soft` maps, which take classes or
            boundaries.

    Raises:
        UsageError: If it has not.
    """
    heads = getattr(model, "heads", {})
    extras = {name for head in heads.values() for name in head.extras}
    if any(isinstance(head, RegionHead) and head.predicts_boundaries for head in heads.values()):
        extras.add("soft")
    if "confidence" in extras:
        extras.add("soft")
    for name in asked:
        if name not in extras:
            expected = "classes or boundaries" if name == "soft" else "classes"
            found = ", ".join(type(head).__name__ for head in heads.values()) or type(model).__name__
            raise UsageError(f"expected a model of {expected}, found {found}: leave it out", name)
