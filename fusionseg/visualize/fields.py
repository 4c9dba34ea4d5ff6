"""Kinds of pixels, quantities and offsets as RGB pictures, black where nothing is labelled."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.sample import Array, Color, Picture

SLATE: Color = (62, 72, 92)
AMBER: Color = (236, 170, 60)
WHITE: Color = (255, 255, 255)


def kind_colors(kinds: Array, colors: Sequence[Color], labelled: npt.NDArray[np.bool_]) -> Picture:
    """Pixels of few kinds (H, W), each in its color.

    Args:
        kinds: The place of each pixel's kind among the colors, or bool for two of them.
        colors: The colors of the kinds.
        labelled: Which pixels (H, W) are labelled.
    """
    table = np.array(colors, np.uint8)
    return np.where(labelled[..., None], table[kinds.astype(np.int64)], np.uint8(0))


def heat_colors(shares: npt.NDArray[np.floating], labelled: npt.NDArray[np.bool_]) -> Picture:
    """A quantity (H, W) from 0 (violet) to 1 (yellow).

    Args:
        shares: The quantity, in [0, 1].
        labelled: Which pixels (H, W) are labelled.
    """
    # viridis is even to the eye, and its dark end is not black
    levels = np.rint(255 * shares).astype(np.uint8)
    colors = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    return np.where(labelled[..., None], colors, 0).astype(np.uint8)


def offset_colors(offsets: npt.NDArray[np.floating], labelled: npt.NDArray[np.bool_]) -> Picture:
    """Offsets (2, H, W), down and right: the hue is their direction, the brightness their length.

    Right is red, down is green; the longest offset of the picture is the brightest.

    Args:
        offsets: The offsets in pixels.
        labelled: Which pixels (H, W) are labelled.
    """
    down, right = offsets.astype(np.float32)
    length = np.hypot(down, right)
    brightness = 0.35 + 0.65 * length / max(float(length[labelled].max(initial=0)), 1e-6)
    turn = np.degrees(np.arctan2(down, right)) % 360
    hsv = np.dstack([turn, np.ones_like(turn), brightness]).astype(np.float32)
    colors = np.rint(255 * np.clip(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), 0, 1)).astype(np.uint8)
    return np.where(labelled[..., None], colors, np.uint8(0))


def whitened(colors: Picture, shares: npt.NDArray[np.floating]) -> Picture:
    """A picture (H, W, 3) with a share of white (H, W), from 0 to 1, mixed into each pixel."""
    share = shares[..., None]
    mixed: Picture = np.rint(255 * share + (1 - share) * colors).astype(np.uint8)
    return mixed
