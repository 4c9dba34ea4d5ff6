"""Label maps and quantities in colors, and panels of pictures."""

from fusionseg.visualize.fields import AMBER, SLATE, WHITE, heat_colors, kind_colors, offset_colors, whitened
from fusionseg.visualize.label_maps import (
    color,
    overlay,
    panoptic_colors,
    photo,
    region_colors,
    rgb,
    semantic_colors,
    shown,
)
from fusionseg.visualize.panels import Drawable, caption, legend, panel, sample_row

__all__ = [
    "AMBER",
    "SLATE",
    "WHITE",
    "Drawable",
    "caption",
    "color",
    "heat_colors",
    "kind_colors",
    "legend",
    "offset_colors",
    "overlay",
    "panel",
    "panoptic_colors",
    "photo",
    "region_colors",
    "rgb",
    "sample_row",
    "semantic_colors",
    "shown",
    "whitened",
]
