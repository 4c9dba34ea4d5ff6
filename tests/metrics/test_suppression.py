from math import cos, pi, sin

import numpy as np
import pytest
from scipy.ndimage import convolve1d

from fusionseg.metrics.contingency import Floats
from fusionseg.metrics.suppression import crispness, suppressed


def slow_suppressed(strength: Floats) -> Floats:
    """Suppression pixel by pixel, as Dollar's toolbox does it."""
    smooth = {}
    for radius in (1, 4):
        kernel = [radius + 1 - abs(i) for i in range(-radius, radius + 1)]
        values = strength if radius == 1 else smooth[1]
        for axis in (0, 1):
            values = convolve1d(values, np.array(kernel) / sum(kernel), axis=axis, mode="reflect")
        smooth[radius] = values
    edges = smooth[1]
    oy, ox = np.gradient(smooth[4])
    oxx = np.gradient(ox, axis=1)
    oxy = np.gradient(oy, axis=1)
    oyy = np.gradient(oy, axis=0)
    angle = np.mod(np.arctan(oyy * np.sign(-oxy) / (oxx + 1e-5)), pi)
    height, width = edges.shape

    def between(y: float, x: float) -> float:
        x = min(max(x, 0), width - 1.001)
        y = min(max(y, 0), height - 1.001)
        left, top = int(x), int(y)
        right, down = x - left, y - top
        upper = edges[top, left] * (1 - right) + edges[top, left + 1] * right
        lower = edges[top + 1, left] * (1 - right) + edges[top + 1, left + 1] * right
        return float(upper * (1 - down) + lower * down)

    out = edges.copy()
    for y in range(height):
        for x in range(width):
            if edges[y, x]:
                for d in (-1, 1):
                    if edges[y, x] * 1.01 < between(y + d * sin(angle[y, x]), x + d * cos(angle[y, x])):
                        out[y, x] = 0
                        break
    for i in range(5):
        out[i] *= i / 5
        out[height - 1 - i] *= i / 5
        out[:, i] *= i / 5
        out[:, width - 1 - i] *= i / 5
    return out


def soft(seed: int) -> Floats:
    """Blurred curves."""
    down, right = np.mgrid[:40, :50]
    phase = np.random.default_rng(seed).random() * 6
    rise = np.exp(-((down - 20 - 8 * np.sin(right / 7 + phase)) ** 2) / 8)
    return np.maximum(rise, 0.7 * np.exp(-((right - 25) ** 2) / 5))


@pytest.mark.parametrize("seed", range(4))
def test_suppression_is_that_of_dollars_toolbox(seed: int) -> None:
    found = suppressed(soft(seed))
    expected = slow_suppressed(soft(seed))
    assert found == pytest.approx(expected, abs=1e-12)
    assert 0 < (found > 0).mean() < 0.3


def test_a_blurred_line_becomes_thin() -> None:
    # a little tilted: along an exact row the toolbox's formula gives no direction
    down, right = np.mgrid[:30, :40]
    lines = suppressed(np.exp(-((down - 12.0 - right / 10) ** 2) / 10))
    assert (lines[:, 10:30] > 0).sum(0).max() <= 3
    assert lines[14, 20] == lines.max()


def test_lines_are_crisper_than_blurs() -> None:
    thin = np.zeros((30, 40))
    thin[14, 8:32] = 1
    assert crispness(thin, suppressed(thin)) > 0.9
    blurred = soft(0)
    assert 0.1 < crispness(blurred, suppressed(blurred)) < 0.5
    assert np.isnan(crispness(0 * thin, suppressed(0 * thin)))


def test_small_maps_are_possible() -> None:
    assert suppressed(np.ones((2, 3))).shape == (2, 3)
