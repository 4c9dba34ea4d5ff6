"""Writes the maps of an answer as files, each kind into a folder of its own."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fusionseg.files.atomic import Json, replacing
from fusionseg.files.images import write_panoptic, write_png, write_region, write_semantic
from fusionseg.sample import Array, Picture

if TYPE_CHECKING:
    from fusionseg.inference.answer import Answer

SOFT = ("confidence", "boundaries")
"""Probabilities of one value a pixel, which become gray PNG files of 16 bits."""

NATS = ("entropy", "disagreement")
"""Maps of information, in nats, which become such files of their share of the most that there could be."""


def write_maps(answer: "Answer", folder: Path) -> Json | None:
    """Writes what `Answer.save` does, but for the tables.

    Args:
        answer: The answer.
        folder: The folder, in which each kind of map has its own.

    Returns:
        The annotation in COCO's panoptic JSON, without `image_id`; None where there is no panoptic map.

    Raises:
        UserError: If there are more than 65535 regions.
        OSError: If a file cannot be written.
    """
    annotation = None
    maps = answer.maps
    name = f"{answer.name}.png"
    if "region" in maps:
        write_region(folder / "region" / name, maps["region"])
    if "semantic" in maps:
        write_semantic(folder / "semantic" / name, maps["semantic"], answer.classes)
    if "panoptic" in maps:
        annotation = write_panoptic(folder / "panoptic" / name, maps["panoptic"], answer.classes)
        annotation["file_name"] = name
    if answer.colors() is not None:
        write_png(folder / "overlay" / name, answer.overlay())
    most = math.log(max(len(answer.classes), 2))
    for kind, top in {**dict.fromkeys(SOFT, 1), **dict.fromkeys(NATS, most)}.items():
        if kind in maps:
            gray = np.rint((maps[kind] / top).clip(0, 1) * 65535).astype(np.uint16)
            write_png(folder / kind / name, gray)
    if "probabilities" in maps:
        path = folder / "probabilities" / f"{answer.name}.npz"
        with replacing(path) as draft, draft.open("wb") as file:
            np.savez_compressed(file, probabilities=maps["probabilities"].astype(np.float16))
    for task, drawing in answer.further.items():
        picture = drawing.draw(maps[task], answer.classes)
        _write_map(folder / task / answer.name, maps[task], picture)
    return annotation


def _write_map(path: Path, values: Array, picture: Picture | None) -> None:
    """Writes the answer of a further task: an array (`.npy`) and, if it can be drawn, a picture (`.png`)."""
    array = path.with_name(f"{path.name}.npy")
    with replacing(array) as draft:
        np.save(draft, values)
    if picture is not None:
        write_png(path.with_name(f"{path.name}.png"), picture)
