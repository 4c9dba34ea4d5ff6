"""Reports that an image may have more regions than a head finds."""

import warnings
from functools import cache


@cache
def warn_of_limit(setting: str, limit: int) -> None:
    """Warns that as many regions as a setting of a head allows were found, or that there are more; once.

    Args:
        setting: The name of the setting.
        limit: Its value.
    """
    warnings.warn(
        f"an image may have more regions than model.region_head.{setting} allows ({limit}), and the others "
        "are left out: raise it, if they matter",
        stacklevel=3,
    )
