"""The pictures of an answer that the page shows."""

import numpy as np
from PIL import Image, ImageDraw

from fusionseg.inference.answer import Answer
from fusionseg.sample import Array, Classes, Picture
from fusionseg.visualize import heat_colors, overlay, panoptic_colors, region_colors, semantic_colors

BARS = 12
"""How many of the likeliest classes of a scene are shown."""

ROW = 30
"""The height of each of their bars in pixels."""

WIDTH = 480
"""The width of the bar of a class that is certain."""


def pictures(answer: Answer, opacity: float = 0.5) -> dict[str, Picture]:
    """The pictures (H, W, 3) of all maps of an answer, by title; labels lie over the image.

    `semantic` are the classes, `regions` the regions with white outlines, `fused` the panoptic map, which has
    the class of each region's vote; `confidence` and `boundaries` are probabilities, dark blue for 0 and
    yellow for 1. Maps of further tasks follow by the tasks' names, where they can be drawn; `scene` is a bar
    for each of the likeliest classes.

    Args:
        answer: The answer.
        opacity: Share of the colors of labels, from 0 to 1.
    """
    photo = answer.picture()
    found: dict[str, Picture] = {}
    if "semantic" in answer.maps:
        found["semantic"] = overlay(photo, semantic_colors(answer.maps["semantic"], answer.classes), opacity)
    if "region" in answer.maps:
        found["regions"] = overlay(photo, region_colors(answer.maps["region"]), opacity)
    if "panoptic" in answer.maps:
        found["fused"] = overlay(photo, panoptic_colors(answer.maps["panoptic"], answer.classes), opacity)
    for name in ("confidence", "boundaries"):
        if name in answer.maps:
            shares = answer.maps[name].clip(0, 1)
            found[name] = heat_colors(shares, np.ones(shares.shape, bool))
    for task, drawing in answer.further.items():
        drawn = drawing.draw(answer.maps[task], answer.classes)
        if drawn is not None:
            found[task] = drawn
    if "scene" in answer.maps:
        found["scene"] = _bars(answer.maps["scene"], answer.classes)
    return found


def _bars(likely: Array, classes: Classes) -> Picture:
    """How likely classes (C,) are, as bars in their colors, the likeliest above."""
    order = np.argsort(-likely, kind="stable")[:BARS]
    image = Image.new("RGB", (WIDTH, ROW * len(order)), "white")
    draw = ImageDraw.Draw(image)
    for row, label in enumerate(order.tolist()):
        top = row * ROW
        end = round(float(likely[label]) * WIDTH)
        if end:
            draw.rectangle((0, top + 2, end - 1, top + ROW - 3), classes.colors[label])
        text = f"{classes.names[label]} {likely[label]:.2f}"
        # with an outline, so that it can be read on every color
        draw.text((8, top + 5), text, "black", font_size=16, stroke_width=2, stroke_fill="white")
    return np.asarray(image)
