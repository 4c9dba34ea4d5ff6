"""The pictures of an answer that the page shows."""

import numpy as np

from fusionseg.inference.answer import Answer
from fusionseg.sample import Picture
from fusionseg.visualize import heat_colors, overlay, panoptic_colors, region_colors, semantic_colors


def pictures(answer: Answer, opacity: float = 0.5) -> dict[str, Picture]:
    """The pictures (H, W, 3) of all maps of an answer, by title; labels lie over the image.

    `semantic` are the classes, `regions` the regions with white outlines, `fused` the panoptic map, which has
    the class of each region's vote; `confidence` and `boundaries` are probabilities, dark blue for 0 and
    yellow for 1. Maps of further tasks follow by the tasks' names, where they can be drawn.

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
    return found
