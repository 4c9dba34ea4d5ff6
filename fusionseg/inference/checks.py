"""Checks the arguments of a predictor."""

from fusionseg.config.errors import UsageError
from fusionseg.files.photos import ValueRange


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
