"""All corruptions, and some of them by name."""

from collections.abc import Sequence

from fusionseg.config.type_names import nearest
from fusionseg.corruptions.base import Corruption
from fusionseg.corruptions.blur import defocus_blur, gaussian_blur, motion_blur
from fusionseg.corruptions.compression import downsampling, jpeg
from fusionseg.corruptions.geometric import perspective, rotated, rotation, tilted
from fusionseg.corruptions.noise import gaussian_noise, shot_noise
from fusionseg.corruptions.occlusion import hidden, occlusion
from fusionseg.corruptions.photometric import brightness, color_temperature, contrast, gamma
from fusionseg.corruptions.weather import fog

CORRUPTIONS = (
    Corruption("photometric", brightness),
    Corruption("photometric", contrast),
    Corruption("photometric", gamma),
    Corruption("photometric", color_temperature, rgb=True),
    Corruption("blur", gaussian_blur),
    Corruption("blur", defocus_blur),
    Corruption("blur", motion_blur),
    Corruption("noise", gaussian_noise),
    Corruption("noise", shot_noise),
    Corruption("compression", jpeg),
    Corruption("compression", downsampling),
    Corruption("weather", fog),
    Corruption("occlusion", occlusion, hidden),
    Corruption("geometric", rotation, rotated),
    Corruption("geometric", perspective, tilted),
)
"""All corruptions, by family."""


def named(names: Sequence[str]) -> tuple[Corruption, ...]:
    """The corruptions of these names or of these families, in the order of all; all for `all`.

    >>> [corruption.name for corruption in named(["fog", "noise"])]
    ['gaussian_noise', 'shot_noise', 'fog']

    Raises:
        ValueError: If there is no such corruption or family.
    """
    known = [name for corruption in CORRUPTIONS for name in (corruption.name, corruption.family)]
    if unknown := [name for name in names if name not in (*known, "all")]:
        raise ValueError(f"no corruption {unknown[0]!r}{nearest(unknown[0], ['all', *known])}")
    return tuple(c for c in CORRUPTIONS if {"all", c.name, c.family} & set(names))
