"""Colors for classes that come without."""

import colorsys


def color(index: int) -> tuple[int, int, int]:
    """An RGB color in [0, 255]; close indices have hues that are not (steps of the golden ratio)."""
    hue, value = index * 0.618034 % 1, (0.95, 0.75, 0.55)[index % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.7, value)
    return round(255 * red), round(255 * green), round(255 * blue)
