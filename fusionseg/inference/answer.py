"""What a model says of one image."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from PIL import Image

from fusionseg.config.errors import UsageError, UserError
from fusionseg.files.atomic import write_text
from fusionseg.files.csv_text import as_csv
from fusionseg.files.images import boxes
from fusionseg.files.photos import Photo
from fusionseg.inference.answer_files import write_maps
from fusionseg.metrics.contingency import totals
from fusionseg.sample import OFFSET, Array, Classes, Picture, Prediction
from fusionseg.visualize import (
    Drawable,
    overlay,
    panoptic_colors,
    region_colors,
    rgb,
    semantic_colors,
)

if TYPE_CHECKING:
    import pandas as pd


class Asked(TypedDict, total=False):
    """What answers have where it is asked for; see `Predictor.__call__`."""

    probabilities: bool
    entropy: bool
    soft: bool
    outputs: bool


SEGMENTED = ("panoptic", "region", "semantic")
"""The maps that a table of segments is made of: the first one that there is."""

COLUMNS = ("id", "class", "thing", "area", "left", "top", "width", "height", "score")
"""Of the table of segments."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model says of one image, at the image's own size.

    The maps are attributes: `semantic` class ids (H, W); `region` ids (H, W) from 1; `fused`, the class ids
    after each region's vote; `panoptic` ids (H, W), class * 65536 + instance, -1 where void; `scene`, how
    likely each class is present (C,); `confidence`, the probability (H, W) of the predicted class;
    `boundaries`, that of a boundary (H, W); `probabilities` (C, H, W) and their `entropy` (H, W) in nats,
    where they were asked for, with the `disagreement` (H, W) of several networks; and those of further tasks
    by the tasks' names. One that the model does not have is an AttributeError.

    Attributes:
        name: Of the image's file, without suffix, or its number.
        image: The image (H, W, C).
        classes: The classes, with names and colors.
        maps: All maps by name.
        further: What draws the maps of further tasks.
        outputs: What the head of each task gave, where it was asked for: an array (K, h, w), or several by
            name. It is of the image as the network saw it, extended to the right and to the bottom to sides
            that are multiples of 32: (h, w) are those sides over the head's stride. Not saved.
    """

    name: str
    image: Photo
    classes: Classes
    maps: Mapping[str, Array]
    further: Mapping[str, Drawable] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, prediction: Prediction, image: Photo, classes: Classes, drawables: Mapping[str, Drawable]
    ) -> "Answer":
        """The answer that a prediction is.

        Args:
            prediction: The prediction.
            image: Its image.
            classes: The classes.
            drawables: What draws the maps of tasks.
        """
        maps = {"boundaries" if task == "contours" else task: m for task, m in prediction.maps.items()}
        known = ("semantic", "region", "scene")
        further = {task: each for task, each in drawables.items() if task in maps and task not in known}
        return cls(prediction.name, image, classes, maps, further, prediction.outputs)

    def __getattr__(self, name: str) -> Array:
        if name.startswith("_") or name == "maps":  # while it is copied or unpickled
            raise AttributeError(name)
        if name in self.maps:
            return self.maps[name]
        asked = f": ask for {name}=True" if name in ("probabilities", "entropy") else ""
        raise AttributeError(f"no {name!r} in this answer, which has {', '.join(self.maps)}{asked}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.maps]

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"Answer({self.name!r}, {width} x {height}, {', '.join(self.maps)})"

    def overlay(self, opacity: float = 0.5) -> Picture:
        """The image under the colors of its panoptic map, else of its classes, else of its regions.

        Args:
            opacity: Share of the colors, from 0 to 1.

        Raises:
            ValueError: If there is nothing to draw.
        """
        colors = self.colors()
        if colors is None:
            raise UserError(f"expected classes or regions to draw, found {', '.join(self.maps) or 'nothing'}")
        return overlay(self.picture(), colors, opacity)

    def picture(self) -> Picture:
        """The image as RGB (H, W, 3): its first three channels, or its first one as gray."""
        return rgb(self.image)

    def colors(self) -> Picture | None:
        """The colors that `overlay` lays over the image; None if there is nothing to draw."""
        if "panoptic" in self.maps:
            return panoptic_colors(self.maps["panoptic"], self.classes)
        if "semantic" in self.maps:
            return semantic_colors(self.maps["semantic"], self.classes)
        return region_colors(self.maps["region"]) if "region" in self.maps else None

    def segments(self) -> "pd.DataFrame":
        """A table of the segments of the panoptic map, else of the regions, or else of the classes.

        Columns are the `id` in that map, `class` and `thing` (None for regions without classes), `area` in
        pixels, the box by `left`, `top`, `width` and `height`, and `score`, the mean confidence, NaN without.

        Raises:
            UsageError: If pandas is missing.
            ValueError: If there are no segments.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise UsageError('a table needs pandas: pip install "fusionseg[study]"') from error
        return pd.DataFrame(self.rows(), columns=list(COLUMNS))

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the table of segments.

        Raises:
            ValueError: If there are no segments.
        """
        kind = next((kind for kind in SEGMENTED if kind in self.maps), None)
        if kind is None:
            raise UserError(f"expected a map of segments, found {', '.join(self.maps) or 'nothing'}")
        ids, index = np.unique(self.maps[kind], return_inverse=True)
        index = index.reshape(self.maps[kind].shape)
        places, areas = boxes(index, len(ids))
        scores = np.full(len(ids), np.nan)
        if "confidence" in self.maps:
            scores = totals(index.ravel(), self.maps["confidence"].ravel().astype(float), len(ids)) / areas
        found = []
        for number, area, place, score in zip(ids.tolist(), areas, places, scores.tolist(), strict=True):
            if number >= 0:  # void is -1
                box = dict(zip(("left", "top", "width", "height"), place, strict=True))
                found.append({**_named(number, kind, self.classes), "area": area, **box, "score": score})
        return found

    def save(self, folder: str | Path, name: str | None = None) -> None:
        """Writes the maps, the overlay and the table of segments, each into a folder of its kind.

        `semantic` PNG with a palette, `region` of 16 bits, `panoptic` in COCO's colors, `overlay`,
        `confidence`, `boundaries`, `entropy` and `disagreement` as gray PNG of 16 bits, `probabilities` as
        NPZ, `segments` and `scenes`, how likely each class is present, as CSV, and the maps of further tasks
        as NPY; of these, what the model has.

        Args:
            folder: The folder; files of the same name are replaced.
            name: The name of the files, the answer's own where left out.

        Raises:
            OSError: If a file cannot be written.
        """
        named = self if name is None else replace(self, name=name)
        write_maps(named, Path(folder))
        tables = {}
        if any(kind in self.maps for kind in SEGMENTED):
            tables["segments"] = self.rows()
        if "scene" in self.maps:
            likely = zip(self.classes.names, self.maps["scene"].tolist(), strict=True)
            tables["scenes"] = [{"class": name, "probability": round(p, 6)} for name, p in likely]
        for kind, rows in tables.items():
            if rows:
                write_text(Path(folder) / kind / f"{named.name}.csv", as_csv(rows))

    def _repr_png_(self) -> bytes | None:
        """What notebooks show."""
        if self.colors() is None:
            return None
        buffer = io.BytesIO()
        Image.fromarray(self.overlay()).save(buffer, "PNG")
        return buffer.getvalue()


def _named(number: int, kind: str, classes: Classes) -> dict[str, Any]:
    """The id, class and kind of a segment."""
    if kind == "region":
        return {"id": number, "class": None, "thing": None}
    label = number // OFFSET if kind == "panoptic" else number
    return {"id": number, "class": classes.names[label], "thing": label in classes.things}
