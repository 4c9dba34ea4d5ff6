"""Label maps in colors, and panels of pictures."""

from fusionseg.visualize.label_maps import (
    color,
    overlay,
    panoptic_colors,
    photo,
    region_colors,
    semantic_colors,
    shown,
)
from fusionseg.visualize.panels import Drawable, legend, panel, sample_row

__all__ = [
    "Drawable",
    "color",
    "legend",
    "overlay",
    "panel",
    "panoptic_colors",
    "photo",
    "region_colors",
    "sample_row",
    "semantic_colors",
    "shown",
]
