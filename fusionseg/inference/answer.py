"""What a model says of one image."""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from fusionseg.config.errors import UsageError, UserError
from fusionseg.files.atomic import Json, replacing, write_text
from fusionseg.files.csv_text import as_csv
from fusionseg.files.images import boxes, write_panoptic, write_png, write_region, write_semantic
from fusionseg.files.photos import Photo
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

SOFT = ("confidence", "boundaries")
"""Probabilities of one value a pixel, which become gray PNG files of 16 bits."""

SEGMENTED = ("panoptic", "region", "semantic")
"""The maps that a table of segments is made of: the first one that there is."""

NATS = ("entropy", "disagreement")
"""Maps of information, in nats, which become such files of their share of the most that there could be."""

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
    """

    name: str
    image: Photo
    classes: Classes
    maps: Mapping[str, Array]
    further: Mapping[str, Drawable] = field(default_factory=dict)

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
        return cls(prediction.name, image, classes, maps, further)

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
        NPZ, `segments` as CSV, and the maps of further tasks as NPY.

        Args:
            folder: The folder; files of the same name are replaced.
            name: The name of the files, the answer's own where left out.

        Raises:
            OSError: If a file cannot be written.
        """
        named = self if name is None else replace(self, name=name)
        named.write(Path(folder))
        if rows := self.rows():
            write_text(Path(folder) / "segments" / f"{named.name}.csv", as_csv(rows))

    def write(self, folder: Path) -> Json | None:
        """Writes what `save` does, but for the table of segments.

        Args:
            folder: The folder, in which each kind of map has its own.

        Returns:
            The annotation in COCO's panoptic JSON, without `image_id`; None where there is no panoptic map.

        Raises:
            OSError: If a file cannot be written.
        """
        annotation = None
        if "region" in self.maps:
            write_region(folder / "region" / f"{self.name}.png", self.maps["region"])
        if "semantic" in self.maps:
            write_semantic(folder / "semantic" / f"{self.name}.png", self.maps["semantic"], self.classes)
        if "panoptic" in self.maps:
            path = folder / "panoptic" / f"{self.name}.png"
            annotation = write_panoptic(path, self.maps["panoptic"], self.classes)
            annotation["file_name"] = f"{self.name}.png"
        if (colors := self.colors()) is not None:
            write_png(folder / "overlay" / f"{self.name}.png", overlay(self.picture(), colors))
        most = math.log(max(len(self.classes), 2))
        for kind, top in {**dict.fromkeys(SOFT, 1), **dict.fromkeys(NATS, most)}.items():
            if kind in self.maps:
                gray = np.rint((self.maps[kind] / top).clip(0, 1) * 65535).astype(np.uint16)
                write_png(folder / kind / f"{self.name}.png", gray)
        if "probabilities" in self.maps:
            with (
                replacing(folder / "probabilities" / f"{self.name}.npz") as draft,
                draft.open("wb") as file,
            ):
                np.savez_compressed(file, probabilities=self.maps["probabilities"].astype(np.float16))
        for task, drawing in self.further.items():
            picture = drawing.draw(self.maps[task], self.classes)
            _write_map(folder / task / self.name, self.maps[task], picture)
        return annotation

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


def _write_map(path: Path, values: Array, picture: Picture | None) -> None:
    """Writes the answer of a further task: an array (`.npy`) and, if it can be drawn, a picture (`.png`)."""
    array = path.with_name(f"{path.name}.npy")
    with replacing(array) as draft:
        np.save(draft, values)
    if picture is not None:
        write_png(path.with_name(f"{path.name}.png"), picture)
