"""Corruptions and severities by their names on a command line."""

import re

from fusionseg.config.errors import UsageError
from fusionseg.corruptions import SEVERITIES, Corruption, named


def corruptions(names: str, channels: int = 3) -> tuple[Corruption, ...]:
    """The corruptions of these names, with commas between, or of these families; all for `all`.

    Those that do not fit the images are left out, unless they are asked for by their names.

    >>> [corruption.name for corruption in corruptions("fog,noise")]
    ['gaussian_noise', 'shot_noise', 'fog']

    Args:
        names: The names.
        channels: Channels of the images.

    Raises:
        UsageError: If there is no such corruption or family, or one does not fit the images.
    """
    wanted = re.split(r"\s*,\s*", names.strip())
    try:
        asked = named(wanted)
    except ValueError as error:
        raise UsageError(str(error), "corruptions") from error
    misfits = [corruption for corruption in asked if corruption.rgb and channels != 3]
    if explicit := [corruption.name for corruption in misfits if corruption.name in wanted]:
        raise UsageError(f"{explicit[0]} takes images of 3 channels, found {channels}", "corruptions")
    return tuple(corruption for corruption in asked if corruption not in misfits)


def severities(text: str) -> tuple[int, ...]:
    """The severities that a text names, such as `1..5`, `3` or `1,3,5`.

    >>> severities("1..3,5")
    (1, 2, 3, 5)

    Raises:
        UsageError: If it names others than 1 to 5, or none.
    """
    found: set[int] = set()
    for part in re.split(r"\s*,\s*", text.strip()):
        ends = re.fullmatch(r"(\d)(?:\.\.(\d))?", part)
        first, last = (int(ends[1]), int(ends[2] or ends[1])) if ends else (0, 0)
        if not SEVERITIES[0] <= first <= last <= SEVERITIES[-1]:
            raise UsageError(
                f"expected severities in 1..5, such as 1..5 or 1,3,5, found {text!r}", "severities"
            )
        found |= set(range(first, last + 1))
    return tuple(sorted(found))
