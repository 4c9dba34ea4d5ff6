"""Label maps in colors, and tables of pictures that show what a model sees, should say and says."""

import colorsys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from fusionseg.sample import OFFSET, VOID, Classes, IntMap, Picture, Prediction, Sample, Truth

Color: TypeAlias = tuple[int, int, int]
Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

_GOLDEN = (5**0.5 - 1) / 2
_WHITE, _GREY, _BLACK = (255, 255, 255), (110, 110, 110), (0, 0, 0)


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
    saturation, value = np.array([0.75, 0.45, 1.0]), np.array([1.0, 0.72])
    hsv = np.stack([ids * _GOLDEN % 1 * 360, saturation[ids % 3], value[ids // 3 % 2]], axis=1)
    table = _bytes(_converted(hsv, cv2.COLOR_HSV2RGB))
    table[ids == 0] = _BLACK
    return _outlined(table[index.reshape(region.shape)], region)


def panoptic_colors(panoptic: IntMap, classes: Classes) -> Picture:
    """Panoptic ids (H, W), class * 65536 + instance, in shades of the class's color with a white outline, void black.

    Instance 0 (stuff) has the very color of its class.

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
    """
    if image.shape != colors.shape:
        raise ValueError(
            f"expected image and colors of one size, found {image.shape} and {colors.shape}: resize one"
        )
    mixed = cv2.addWeighted(image, 1 - opacity, colors, opacity, 0)
    return np.where(colors.any(axis=2, keepdims=True), mixed, image)


class Drawable(Protocol):
    """What knows how the labels of a task are drawn, such as the task's head."""

    def truth(self, truth: Truth) -> npt.NDArray[Any] | None:
        """The labels of the task in a truth; None where there are none."""

    def draw(self, labels: npt.NDArray[Any], classes: Classes) -> Picture | None:
        """The labels as a picture (H, W, 3); None where they cannot be drawn."""


def sample_row(
    image: Picture,
    truth: Truth,
    prediction: Prediction,
    classes: Classes,
    tasks: Mapping[str, Drawable],
) -> dict[str, Picture]:
    """One row of a panel: the image, then truth and prediction of each task that has labels or an answer.

    Args:
        image: RGB (H, W, 3).
        truth: The labels of the image.
        prediction: The answers for it.
        classes: The classes of the data set.
        tasks: The tasks in the order of their columns, with what draws them.
    """
    row: dict[str, Picture | None] = {"image": image}
    for task, drawing in tasks.items():
        labels = drawing.truth(truth)
        if labels is not None:
            row[f"{task} truth"] = drawing.draw(labels, classes)
        if task in prediction:
            row[f"{task} prediction"] = drawing.draw(prediction[task], classes)
    if "fused" in prediction:
        row["fused"] = semantic_colors(prediction["fused"], classes)
    if "panoptic" in prediction:
        row["panoptic"] = panoptic_colors(prediction["panoptic"], classes)
    return {title: picture for title, picture in row.items() if picture is not None}


def legend(semantics: Iterable[IntMap], classes: Classes) -> dict[str, Color]:
    """Name and color of every class that occurs in the maps, in the order of ids, with void last."""
    ids = sorted({int(i) for semantic in semantics for i in np.unique(semantic)})
    return {classes.names[i]: classes.colors[i] for i in ids if i != VOID} | (
        {"void": _BLACK} if VOID in ids else {}
    )


def panel(
    rows: Sequence[Mapping[str, Picture]],
    captions: Sequence[str] = (),
    entries: Mapping[str, Color] | None = None,
    width: int = 320,
) -> Picture:
    """A table of pictures (H, W, 3) on white: titles on top, a caption above each row, a legend at the bottom.

    Pictures keep their aspect ratio within cells of one size. They are shrunk by averaging areas, which keeps outlines
    visible, and enlarged by repeating pixels, which invents no colors.

    Args:
        rows: For each row the pictures by column title; a column that only some rows have is blank in the others.
        captions: One line for each row, such as the sample's name and its score, or nothing at all.
        entries: What the legend says (see `legend`).
        width: Width of a cell in pixels; fonts and margins follow it.
    """
    if not rows or not all(rows) or len(captions) not in (0, len(rows)):
        raise ValueError(
            "expected rows of at least one picture, and a caption for each row or none, "
            f"found rows of {[len(row) for row in rows]} pictures and {len(captions)} captions"
        )
    # where the rows that have most have it, so that what only some have is not last
    place = {
        title: max(list(row).index(title) for row in rows if title in row) for row in rows for title in row
    }
    titles = sorted(place, key=lambda title: place[title])
    gap, line = max(2, width // 40), max(8, width // 14)
    height = round(width * float(np.median([p.shape[0] / p.shape[1] for row in rows for p in row.values()])))
    total = len(titles) * (width + gap) - gap
    spots = [(i * (width + gap) + width // 2, title) for i, title in enumerate(titles)]
    small = _font(captions, total, 0.8 * line)
    strips = [_text(spots, "ma", _BLACK, (total, round(1.5 * line)), _font(titles, width, line))]
    for i, row in enumerate(rows):
        if captions:
            strips.append(_text([(0, captions[i])], "la", _GREY, (total, round(1.3 * line)), small))
        strips.append(_cells(row, titles, (width, height), gap))
    strips.append(_legend(entries or {}, total, line))
    margin = 2 * gap
    return np.pad(np.vstack(strips), ((margin, margin), (margin, margin), (0, 0)), constant_values=255)


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


def _font(texts: Collection[str], width: int, size: float) -> Font:
    """The font at the given size in pixels, or smaller so that the longest text fits."""
    font = ImageFont.load_default(size)
    while size > 1 and any(font.getlength(text) > width for text in texts):
        size *= 0.95
        font = ImageFont.load_default(size)
    return font


def _text(
    spots: Iterable[tuple[int, str]], anchor: str, color: Color, size: tuple[int, int], font: Font
) -> Picture:
    strip = Image.new("RGB", size, _WHITE)
    for x, text in spots:
        ImageDraw.Draw(strip).text((x, 0), text, fill=color, font=font, anchor=anchor)
    return np.array(strip)


def _cells(row: Mapping[str, Picture], titles: Sequence[str], size: tuple[int, int], gap: int) -> Picture:
    """The pictures of a row, centered in cells of the given width and at most the given height, with a gap below."""
    width = size[0]
    pictures = {title: _fitted(picture, size) for title, picture in row.items()}
    height = max(picture.shape[0] for picture in pictures.values())
    strip = np.full((height + gap, len(titles) * (width + gap) - gap, 3), 255, np.uint8)
    for title, picture in pictures.items():
        bottom, right = picture.shape[0] - 1, picture.shape[1] - 1
        # White classes would run into the paper.
        cv2.rectangle(picture, (0, 0), (right, bottom), (190, 190, 190))
        top, left = (height - bottom - 1) // 2, titles.index(title) * (width + gap) + (width - right - 1) // 2
        strip[top : top + bottom + 1, left : left + right + 1] = picture
    return strip


def _fitted(picture: Picture, size: tuple[int, int]) -> Picture:
    scale = min(size[0] / picture.shape[1], size[1] / picture.shape[0])
    shape = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(
        cv2.resize(picture, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST), np.uint8
    )


def _legend(entries: Mapping[str, Color], total: int, line: int) -> Picture:
    """Colored squares with names in a grid of as many columns as fit into the total width."""
    square, pitch = round(0.8 * line), round(1.3 * line)
    font = _font(entries, total - 3 * line, 0.8 * line)
    cell = round(max((font.getlength(name) for name in entries), default=0)) + 3 * line
    columns = max(1, total // cell)
    lines = -(-len(entries) // columns)
    strip = Image.new("RGB", (total, lines * pitch + (line // 2 if lines else 0)), _WHITE)
    draw = ImageDraw.Draw(strip)
    for i, (name, color) in enumerate(entries.items()):
        x, y = i % columns * (total // columns), i // columns * pitch + line // 2
        draw.rectangle((x, y, x + square, y + square), fill=color, outline=_GREY)
        draw.text((x + 1.4 * square, y + square / 2), name, fill=_BLACK, font=font, anchor="lm")
    return np.array(strip)


def photo(batch: Sample, i: int) -> Picture:
    """The i-th image of a batch as a picture: its first three channels."""
    image = batch["image"][i, :3].permute(1, 2, 0).cpu().numpy()
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    top = 1.0 if image.dtype.kind == "f" else np.iinfo(image.dtype).max
    picture: Picture = (image / top * 255).round().clip(0, 255).astype(np.uint8)
    return picture


def color(index: int) -> tuple[int, int, int]:
    """An RGB color in [0, 255]; close indices have hues that are not (steps of the golden ratio)."""
    hue, value = index * 0.618034 % 1, (0.95, 0.75, 0.55)[index % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.7, value)
    return round(255 * red), round(255 * green), round(255 * blue)
