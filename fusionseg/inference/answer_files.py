"""Writes what a model says of an image, each kind of map into a folder of its own."""

import csv
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fusionseg.files.atomic import Json, replacing, write_text
from fusionseg.files.images import write_panoptic, write_png, write_region, write_semantic
from fusionseg.sample import Array, Picture
from fusionseg.visualize import overlay

if TYPE_CHECKING:
    from fusionseg.inference.answer import Answer

SOFT = ("confidence", "boundaries")
"""Probabilities of one value a pixel, which become grey PNG files of 16 bits."""


def write_answer(folder: Path, answer: "Answer", segments: bool = True) -> Json | None:
    """Writes an answer; see `Answer.save`.

    Args:
        folder: The folder, in which each kind of map has its own.
        answer: The answer.
        segments: Whether the table of segments is written too.

    Returns:
        Its annotation in COCO's panoptic JSON, without `image_id`; None where there is no panoptic map.
    """
    maps = answer.maps
    name = answer.name
    annotation = None
    if "region" in maps:
        write_region(folder / "region" / f"{name}.png", maps["region"])
    if "semantic" in maps:
        write_semantic(folder / "semantic" / f"{name}.png", maps["semantic"], answer.classes)
    if "panoptic" in maps:
        annotation = write_panoptic(folder / "panoptic" / f"{name}.png", maps["panoptic"], answer.classes)
        annotation["file_name"] = f"{name}.png"
    if (colors := answer.colors()) is not None:
        write_png(folder / "overlay" / f"{name}.png", overlay(answer.picture(), colors))
    for kind in SOFT:
        if kind in maps:
            write_png(folder / kind / f"{name}.png", np.rint(maps[kind] * 65535).astype(np.uint16))
    if "probabilities" in maps:
        path = folder / "probabilities" / f"{name}.npz"
        with replacing(path) as draft, draft.open("wb") as file:
            np.savez_compressed(file, probabilities=maps["probabilities"].astype(np.float16))
    for task, drawing in answer.further.items():
        _write_map(folder / task / name, maps[task], drawing.draw(maps[task], answer.classes))
    if segments and (rows := answer.rows()):
        text = StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "score": f"{row['score']:.6g}"} for row in rows)
        write_text(folder / "segments" / f"{name}.csv", text.getvalue())
    return annotation


def _write_map(path: Path, values: Array, picture: Picture | None) -> None:
    """Writes the answer of a further task: an array (`.npy`) and, if it can be drawn, a picture (`.png`)."""
    array = path.with_name(f"{path.name}.npy")
    with replacing(array) as draft:
        np.save(draft, values)
    if picture is not None:
        write_png(path.with_name(f"{path.name}.png"), picture)
