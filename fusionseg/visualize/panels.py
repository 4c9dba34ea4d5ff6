"""Panels: tables of images with their labels and a model's predictions."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fusionseg.sample import (
    PANOPTIC_VOID,
    VOID,
    Array,
    Classes,
    Color,
    IntMap,
    Picture,
    Prediction,
    Truth,
)
from fusionseg.visualize.label_maps import panoptic_colors, semantic_colors
from fusionseg.visualize.matching import matched

_WHITE = (255, 255, 255)
_GRAY = (110, 110, 110)
_BLACK = (0, 0, 0)

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Drawable(Protocol):
    """Draws the labels of a task, such as the task's head."""

    def truth(self, truth: Truth) -> Array | None:
        """The labels of the task in a truth; None where there are none."""

    def draw(self, labels: Array, classes: Classes) -> Picture | None:
        """The labels as a picture (H, W, 3); None where they cannot be drawn."""


def sample_row(
    image: Picture,
    truth: Truth,
    prediction: Prediction,
    classes: Classes,
    tasks: Mapping[str, Drawable],
) -> dict[str, Picture]:
    """One row of a panel: the image, then truth and prediction of each task that has labels or an answer.

    Predicted regions, and things of a class, have the colors of the true ones that they match (`matched`).

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
            answer = prediction[task]
            if task == "region" and labels is not None:
                answer = matched(answer, labels)
            row[f"{task} prediction"] = drawing.draw(answer, classes)
    if "fused" in prediction:
        row["fused"] = semantic_colors(prediction["fused"], classes)
    if "panoptic" in prediction:
        answer = prediction["panoptic"]
        true = truth.panoptic(classes.things)
        if truth.has_regions and (true != PANOPTIC_VOID).any():
            row["panoptic truth"] = panoptic_colors(true, classes)
            answer = matched(answer, true)
        row["panoptic"] = panoptic_colors(answer, classes)
    return {title: picture for title, picture in row.items() if picture is not None}


def legend(semantics: Iterable[IntMap], classes: Classes) -> dict[str, Color]:
    """Name and color of every class that occurs in the maps, in the order of ids, with void last.

    Empty where all is void.
    """
    ids = sorted({int(i) for semantic in semantics for i in np.unique(semantic)})
    if ids == [VOID]:
        return {}
    return {classes.names[i]: classes.colors[i] for i in ids if i != VOID} | (
        {"void": _BLACK} if VOID in ids else {}
    )


def caption(prediction: Prediction, truth: Truth, classes: Classes) -> str:
    """The image's name and, where that is predicted, the likeliest classes that it shows and the true ones.

    Of either only the first two, so that a line can be read.

    >>> classes = Classes(("cat", "dog"), ((0, 0, 0), (9, 9, 9)), per_image="one")
    >>> void = np.full((2, 2), VOID)
    >>> truth = Truth(void, void, maps={"scene": np.array([1, 0])})
    >>> caption(Prediction("a", {"scene": np.array([0.3, 0.7])}), truth, classes)
    'a: dog 0.70 (cat)'
    """
    likely = prediction.get("scene")
    if likely is None:
        return prediction.name
    known = truth.maps.get("scene")
    there = np.flatnonzero(known) if known is not None else np.setdiff1d(truth.semantic, VOID)
    said = [i for i in np.argsort(-likely, kind="stable")[:2] if likely[i] >= 0.5] or [int(likely.argmax())]
    shown = ", ".join(f"{classes.names[i]} {likely[i]:.2f}" for i in said)
    true = ", ".join(classes.names[i] for i in there[:2]) or "none"
    more = f" and {len(there) - 2} more" if len(there) > 2 else ""
    return f"{prediction.name}: {shown} ({true}{more})"


def panel(
    rows: Sequence[Mapping[str, Picture]],
    captions: Sequence[str] = (),
    entries: Mapping[str, Color] | None = None,
    width: int = 320,
) -> Picture:
    """A table of pictures (H, W, 3) with column titles, a caption above each row and a legend at the bottom.

    Pictures keep their aspect ratio within cells of one size. They are shrunk by averaging areas, which keeps
    outlines visible, and enlarged by repeating pixels, which invents no colors.

    Args:
        rows: For each row the pictures by column title; a column that only some rows have is blank in the
            others.
        captions: One line for each row, such as the sample's name and its score, or nothing at all.
        entries: What the legend says (see `legend`).
        width: Width of a cell in pixels; fonts and margins follow it.

    Raises:
        ValueError: If there is no row or an empty one, or not one caption for each.
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
    gap = max(2, width // 40)
    line = max(8, width // 14)
    height = round(width * float(np.median([p.shape[0] / p.shape[1] for row in rows for p in row.values()])))
    total = len(titles) * (width + gap) - gap
    spots = [(i * (width + gap) + width // 2, title) for i, title in enumerate(titles)]
    small = _font(captions, total, 0.8 * line)
    strips = [_text(spots, "ma", _BLACK, (total, round(1.5 * line)), _font(titles, width, line))]
    for i, row in enumerate(rows):
        if captions:
            strips.append(_text([(0, captions[i])], "la", _GRAY, (total, round(1.3 * line)), small))
        strips.append(_cells(row, titles, (width, height), gap))
    strips.append(_legend(entries or {}, total, line))
    margin = 2 * gap
    return np.pad(np.vstack(strips), ((margin, margin), (margin, margin), (0, 0)), constant_values=255)


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
    """The pictures of a row, centered in cells of at most the given (width, height), with a gap below."""
    width = size[0]
    pictures = {title: _fitted(picture, size) for title, picture in row.items()}
    height = max(picture.shape[0] for picture in pictures.values())
    strip = np.full((height + gap, len(titles) * (width + gap) - gap, 3), 255, np.uint8)
    for title, picture in pictures.items():
        bottom = picture.shape[0] - 1
        right = picture.shape[1] - 1
        # White classes would run into the paper.
        cv2.rectangle(picture, (0, 0), (right, bottom), (190, 190, 190))
        top = (height - bottom - 1) // 2
        left = titles.index(title) * (width + gap) + (width - right - 1) // 2
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
    square = round(0.8 * line)
    pitch = round(1.3 * line)
    font = _font(entries, total - 3 * line, 0.8 * line)
    cell = round(max((font.getlength(name) for name in entries), default=0)) + 3 * line
    columns = max(1, total // cell)
    lines = -(-len(entries) // columns)
    strip = Image.new("RGB", (total, lines * pitch + (line // 2 if lines else 0)), _WHITE)
    draw = ImageDraw.Draw(strip)
    for i, (name, color) in enumerate(entries.items()):
        x = i % columns * (total // columns)
        y = i // columns * pitch + line // 2
        draw.rectangle((x, y, x + square, y + square), fill=color, outline=_GRAY)
        draw.text((x + 1.4 * square, y + square / 2), name, fill=_BLACK, font=font, anchor="lm")
    return np.array(strip)
