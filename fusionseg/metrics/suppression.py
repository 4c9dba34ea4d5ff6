"""Non-maximum suppression of soft boundaries across their direction, and how crisp they are without it."""

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.metrics.contingency import Floats

MARGIN = 5
"""Width in pixels of the rim of the image in which boundaries are weakened."""

TOLERANCE = 1.01
"""How many times stronger a neighbor has to be than its own share to suppress a pixel."""


def suppressed(strength: Floats) -> Floats:
    """A soft map (H, W) in which a pixel is 0 where a neighbor across the boundary is stronger.

    The suppression of Dollar's toolbox (Dollar and Zitnick, "Fast Edge Detection Using Structured Forests",
    TPAMI 2015, `edgesNms` with the settings of its benchmark), which most papers apply before the Berkeley
    benchmark. The direction is that of the smoothed map's second derivatives; towards the rim of the image
    boundaries fade out.
    """
    if min(strength.shape) < 2:
        return strength.copy()  # no direction
    fine = _triangle(strength, 1)
    angle = _direction(_triangle(fine, 4))
    height, width = strength.shape
    row, column = np.nonzero(fine)
    own = fine[row, column] * TOLERANCE
    kept = np.ones(own.size, bool)
    for side in (-1, 1):
        neighbor = _interpolated(
            fine, row + side * np.sin(angle[row, column]), column + side * np.cos(angle[row, column])
        )
        kept &= own >= neighbor
    lines = np.zeros((height, width))
    lines[row[kept], column[kept]] = fine[row[kept], column[kept]]
    return lines * _fading(height)[:, None] * _fading(width)


def crispness(strength: Floats, lines: Floats) -> float:
    """The share of a soft map's sum that non-maximum suppression leaves, in [0, 1]; NaN for an empty map.

    Ye et al., "Delving Into Crispness: Guided Label Refinement for Crisp Edge Detection", TIP 2023.

    Args:
        strength: The soft map.
        lines: The same after suppression.
    """
    total = float(strength.sum())
    kept = float(strength[lines > 0].sum())
    return kept / total if total else float("nan")


def _triangle(values: Floats, radius: int) -> Floats:
    """Smoothed by a triangle filter; the image is mirrored at its rim."""
    ramp = np.arange(1, radius + 1)
    kernel = np.concatenate([ramp, [radius + 1], ramp[::-1]]) / (radius + 1) ** 2
    smooth = cv2.sepFilter2D(values, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REFLECT)
    return np.asarray(smooth, np.float64)


def _direction(smooth: Floats) -> Floats:
    """The angle in [0, pi) across the boundary, from x (right) to y (down)."""
    down, right = np.gradient(smooth)
    across = np.gradient(right)
    yy = np.gradient(down, axis=0)
    angle: Floats = np.mod(np.arctan(yy * np.sign(-across[0]) / (across[1] + 1e-5)), np.pi)
    return angle


def _interpolated(values: Floats, row: Floats, column: Floats) -> Floats:
    """The values at points between pixels, linearly; points outside take the nearest pixel inside."""
    height, width = values.shape
    row = row.clip(0, height - 1.001)
    column = column.clip(0, width - 1.001)
    top: npt.NDArray[np.intp] = row.astype(np.intp)
    left: npt.NDArray[np.intp] = column.astype(np.intp)
    down = row - top
    right = column - left
    upper = values[top, left] * (1 - right) + values[top, left + 1] * right
    lower = values[top + 1, left] * (1 - right) + values[top + 1, left + 1] * right
    mixed: Floats = upper * (1 - down) + lower * down
    return mixed


def _fading(size: int) -> Floats:
    """Weights of rows or columns: from 0 at both ends of the image to 1 within `MARGIN` pixels."""
    width = min(MARGIN, size // 2)
    weights = np.ones(size)
    ramp = np.arange(width) / max(width, 1)
    weights[:width] = ramp
    weights[size - width :] = ramp[::-1]
    return weights
