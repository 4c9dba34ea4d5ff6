"""Label maps and photos as RGB pictures."""

import colorsys

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.sample import OFFSET, VOID, Array, Classes, IntMap, Picture, Sample

_GOLDEN = (5**0.5 - 1) / 2
_BLACK = (0, 0, 0)


def semantic_colors(semantic: IntMap, classes: Classes) -> Picture:
    """Class ids (H, W) in the classes' colors, void black.

    Raises:
        ValueError: If an id is neither a class nor `VOID`.
    """
    _check_classes(np.setdiff1d(semantic, VOID), classes)
    table = np.zeros((VOID + 1, 3), np.uint8)
    table[: len(classes)] = classes.colors
    return table[semantic]


def region_colors(region: IntMap) -> Picture:
    """Region ids (H, W), each in a color of its own with a white outline, 0 black.

    An id has the same color in every picture. Hues follow the golden ratio, so close ids have distant colors.
    """
    ids, index = np.unique(region, return_inverse=True)
    saturation = np.array([0.75, 0.45, 1.0])
    value = np.array([1.0, 0.72])
    hsv = np.stack([ids * _GOLDEN % 1 * 360, saturation[ids % 3], value[ids // 3 % 2]], axis=1)
    table = _bytes(_converted(hsv, cv2.COLOR_HSV2RGB))
    table[ids == 0] = _BLACK
    return _outlined(table[index.reshape(region.shape)], region)


def panoptic_colors(panoptic: IntMap, classes: Classes) -> Picture:
    """Panoptic ids (H, W) in shades of the class's color with a white outline, void black.

    An id is class * 65536 + instance.     Instance 0 (stuff) has the very color of its class.

    Raises:
        ValueError: If an id belongs to no class.
    """
    ids, index = np.unique(panoptic, return_inverse=True)
    category, instance = np.divmod(ids[ids >= 0], OFFSET)
    _check_classes(category, classes)
    lab = _converted(np.array(classes.colors)[category] / 255, cv2.COLOR_RGB2LAB)
    shift, turn = (instance * _GOLDEN**power % 1 - 0.5 for power in (1, 2))
    # Dark and light classes leave no room for shades around their own lightness (0 to 100).
    lightness = np.clip(lab[:, 0], 45, 75) + 40 * shift
    hue = (lab[:, 1] + 1j * lab[:, 2]) * np.exp(1j * np.radians(40) * turn)
    shades = np.where(instance[:, None] > 0, np.stack([lightness, hue.real, hue.imag], axis=1), lab)
    table = np.zeros((len(ids), 3), np.uint8)
    table[ids >= 0] = _bytes(_converted(shades, cv2.COLOR_LAB2RGB))
    return _outlined(table[index.reshape(panoptic.shape)], panoptic)


def overlay(image: Picture, colors: Picture, opacity: float = 0.5) -> Picture:
    """The image under a layer of colors; black colors (void) let it through.

    Args:
        image: RGB (H, W, 3).
        colors: RGB (H, W, 3).
        opacity: Share of the layer, from 0 to 1.

    Raises:
        ValueError: If the sizes differ.
    """
    if image.shape != colors.shape:
        raise ValueError(
            f"expected image and colors of one size, found {image.shape} and {colors.shape}: resize one"
        )
    mixed = cv2.addWeighted(image, 1 - opacity, colors, opacity, 0)
    return np.where(colors.any(axis=2, keepdims=True), mixed, image)


def _converted(colors: npt.NDArray[np.floating], code: int) -> npt.NDArray[np.float32]:
    """Colors (N, 3) in another color space; OpenCV refuses empty arrays."""
    row = colors.astype(np.float32)[None]
    if row.size:
        row = np.asarray(cv2.cvtColor(row, code), np.float32)
    return row.reshape(-1, 3)


def _bytes(colors: npt.NDArray[np.float32]) -> Picture:
    return np.rint(np.clip(colors, 0, 1) * 255).astype(np.uint8)


def _outlined(colors: Picture, labels: IntMap) -> Picture:
    """The colors with a white line where two labels meet, wide enough to survive in a panel's cell."""
    edge = np.zeros(labels.shape, np.uint8)
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edge[:-1] |= labels[:-1] != labels[1:]
    thickness = 1 + min(labels.shape) // 700
    line = cv2.dilate(edge, np.ones((thickness, thickness), np.uint8))
    return np.where(line[..., None] > 0, np.uint8(255), colors)


def _check_classes(ids: IntMap, classes: Classes) -> None:
    strange = ids[(ids < 0) | (ids >= len(classes))]
    if strange.size:
        raise ValueError(
            f"expected class ids in [0, {len(classes) - 1}], found {np.unique(strange)[:5].tolist()}"
        )


def photo(batch: Sample, i: int) -> Picture:
    """The i-th image of a batch as a picture, as by `rgb`."""
    return rgb(batch["image"][i, :3].permute(1, 2, 0).cpu().numpy())


def shown(image: Array) -> Picture:
    """An image (H, W, 3) of 8 or 16 bits, or of floats in [0, 1], as a picture."""
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    top = 1.0 if image.dtype.kind == "f" else np.iinfo(image.dtype).max
    picture: Picture = (image / top * 255).round().clip(0, 255).astype(np.uint8)
    return picture


def rgb(image: Array) -> Picture:
    """An image (H, W, C) as a picture: its first three channels, or its first one as gray."""
    return shown(image[..., :3] if image.shape[2] >= 3 else image[..., :1].repeat(3, 2))


def color(index: int) -> tuple[int, int, int]:
    """An RGB color in [0, 255]; close indices have hues that are not (steps of the golden ratio)."""
    hue = index * 0.618034 % 1
    value = (0.95, 0.75, 0.55)[index % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.7, value)
    return round(255 * red), round(255 * green), round(255 * blue)
