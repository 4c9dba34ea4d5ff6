import colorsys

import numpy as np

from fusionseg.visualize import AMBER, SLATE, WHITE, heat_colors, kind_colors, offset_colors, whitened

LABELLED = np.array([[True, True, True, False]])


def test_each_kind_has_its_color_and_unlabelled_pixels_are_black() -> None:
    drawn = kind_colors(np.array([[2, 0, 1, 1]]), (SLATE, AMBER, WHITE), LABELLED)
    assert drawn.dtype == np.uint8
    assert drawn[0].tolist() == [list(WHITE), list(SLATE), list(AMBER), [0, 0, 0]]
    two = kind_colors(np.array([[True, False, True, True]]), (SLATE, WHITE), LABELLED)
    assert two[0].tolist() == [list(WHITE), list(SLATE), list(WHITE), [0, 0, 0]]


def test_heat_runs_from_violet_to_yellow_with_rising_lightness() -> None:
    colors = heat_colors(np.linspace(0, 1, 256)[None], np.ones((1, 256), bool))[0].astype(int)
    assert colors[0].tolist() == [68, 1, 84]
    assert colors[-1].tolist() == [253, 231, 37]
    lightness = colors @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness[::8]) > 0).all()
    assert heat_colors(np.full((1, 4), 0.5), LABELLED)[0, 3].tolist() == [0, 0, 0]


def test_the_hue_of_an_offset_is_its_direction_and_its_brightness_its_length() -> None:
    angles = np.radians(np.arange(0, 360, 30))
    lengths = np.where(np.arange(12) % 2, 10.0, 5.0)
    offsets = np.stack([np.sin(angles) * lengths, np.cos(angles) * lengths])[:, None]
    drawn = offset_colors(offsets, np.ones((1, 12), bool))[0] / 255
    for angle, length, color in zip(np.degrees(angles), lengths, drawn, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*color)
        assert abs((360 * hue - angle + 180) % 360 - 180) < 1
        assert saturation == 1
        assert abs(value - (0.35 + 0.65 * length / 10)) < 0.01


def test_offsets_of_unlabelled_pixels_count_for_nothing() -> None:
    offsets = np.array([[[0.0, 0.0, 0.0, 0.0]], [[1.0, 2.0, 4.0, 900.0]]])
    drawn = offset_colors(offsets, LABELLED)
    assert drawn[0, 3].tolist() == [0, 0, 0]
    assert drawn[0, 2].tolist() == [255, 0, 0]
    assert not offset_colors(offsets, np.zeros((1, 4), bool)).any()
    assert (offset_colors(0 * offsets, LABELLED)[0, :3] > 0).any()


def test_white_is_mixed_in_by_its_share() -> None:
    drawn = whitened(np.array([[SLATE, SLATE, SLATE]], np.uint8), np.array([[0.0, 0.5, 1.0]]))
    assert drawn[0].tolist() == [list(SLATE), [158, 164, 174], list(WHITE)]
