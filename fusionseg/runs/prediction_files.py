"""Predicts images in files and writes label maps, COCO panoptic JSON, scene scores and overlays."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from lightning.fabric import Fabric
from rich.console import Console
from rich.progress import track

from fusionseg.config.errors import UsageError, UserError
from fusionseg.config.remedies import is_out_of_memory
from fusionseg.data.photo_notices import MISFIT, fits_range
from fusionseg.engine.precision import fast_precision, placed
from fusionseg.engine.predictions import drawables
from fusionseg.files.atomic import Json, replacing
from fusionseg.files.images import (
    write_panoptic,
    write_png,
    write_region,
    write_semantic,
)
from fusionseg.files.photos import Photo, orientation, read_image
from fusionseg.runs.decoder import Decoder, digest, tuned
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.input_images import InputImage
from fusionseg.runs.prediction_record import RECORD, PredictionRecord
from fusionseg.runs.restore import restored
from fusionseg.sample import Array, Classes, Picture, Prediction
from fusionseg.visualize import overlay, panoptic_colors, region_colors, semantic_colors, shown

OUTPUTS = ("panoptic.json", "scenes.json", "semantic", "region", "panoptic", "overlay")
"""What is written, where a model has what it needs; those of further tasks have the tasks' names."""


def check_folder(folder: Path) -> None:
    """Checks that predictions can be written to a folder, as far as is known without the model.

    Raises:
        NotADirectoryError: If it is a file.
        FileExistsError: If it holds predictions without a record, which cannot be continued.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file: choose a folder with --out")
    if not (folder / RECORD).is_file() and any((folder / name).exists() for name in OUTPUTS):
        raise FileExistsError(
            f"{folder} already holds predictions: choose another folder with --out, or remove it"
        )


def model_of(
    run: Path | None,
    checkpoint: Path | None,
    scale: float | None = None,
    value_range: tuple[float, float] | None = None,
    trust: Iterable[str] = (),
    untuned: bool = False,
) -> tuple[Any, Json, Decoder | None]:
    """A model of RGB images, and the settings that its answers depend on.

    Args:
        run: A run folder, whose best checkpoint is taken, and its tuned decoder if there is one.
        checkpoint: A checkpoint instead.
        scale: Size at which the model sees images, relative to their files.
        value_range: The values that are black and white in images of more than 8 bits.
        trust: As in `restored`.
        untuned: Whether the decoder is left out.

    Returns:
        The model, its settings, and the decoder. The settings are the digest of the `checkpoint`, the `scale`
        and the `value_range`, those of the training data where left out, and of a tuned `decoder` its record.

    Raises:
        UsageError: If not one of run and checkpoint is given, the size is not above 0 or the range is empty.
        ValueError: If there is no such model, or its images are not RGB.
    """
    if scale is not None and not scale > 0:
        raise UsageError(f"expected a size above 0, found {scale}", "scale")
    if value_range is not None and not value_range[0] < value_range[1]:
        raise UsageError(f"expected two numbers, low and high, found {list(value_range)}", "value_range")
    checkpoint = _checkpoint(run, checkpoint)
    model, data = restored(checkpoint, run, trust)
    backbone: Any = model.hparams.get("backbone", {})
    channels = backbone.get("in_channels", 3)
    if channels != 3:
        raise UserError(
            f"expected a model of RGB images, found one of {channels} channels: use its predictions() "
            "in Python"
        )
    decoder = tuned(model, RunFolder(run), "best") if run and not untuned else None
    given = list(value_range) if value_range else data.get("value_range")
    settings: Json = {
        "checkpoint": digest(checkpoint),
        "scale": scale or float(data.get("scale", 1.0)),
        "value_range": given,
    }
    return model, settings | ({"decoder": decoder.record} if decoder else {}), decoder


def _checkpoint(run: Path | None, checkpoint: Path | None) -> Path:
    """The checkpoint that is meant, of which exactly one way to name it is given."""
    if (run is None) == (checkpoint is None):
        raise UsageError(f"expected --run or --checkpoint, found {'neither' if run is None else 'both'}")
    if checkpoint is None:
        assert run is not None
        RunFolder(run).configuration()
        return RunFolder(run).checkpoint()
    return checkpoint


def predict(
    model: Any, images: Mapping[str, InputImage], record: PredictionRecord, precision: str | None = None
) -> None:
    """Writes the answers of a model for images in files, but for those that the record has.

    Args:
        model: A LightningModule with `classes` and `predictions(batch, size)`.
        images: The images by the names of their output.
        record: What is done in the folder to write to, and the settings.
        precision: As Lightning's; the fastest where left out.

    Raises:
        ValueError: If there are images without an answer; all others are predicted before.
    """
    fabric = placed(model, precision or fast_precision())
    failures: list[str] = []
    seen = _Seen(record.settings["value_range"] is not None)
    console = Console(stderr=True)
    hidden = not console.is_terminal
    watched = track(images.items(), "predicting", console=console, transient=True, disable=hidden)
    for name, (path, file_name) in watched:
        if record.has(name, path):
            continue
        try:
            photo = read_image(path, record.settings["value_range"])
        except (ValueError, OSError, MemoryError) as error:
            failures.append(str(error) or f"{path}: out of memory where it is read: make it smaller")
            continue
        seen.add(path, photo)
        try:
            entry = _answered(model, name, photo, record, fabric)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            failures.append(_too_large(path, photo, record.settings["scale"]))
            continue
        record.add(name, path, {"file_name": file_name, **entry})
    record.finish(model.classes)
    for notice in seen.notices():
        print(notice, file=sys.stderr)
    if failures:
        rest = f"; the others are in {record.folder}" if record.entries else ""
        summary = f"{len(failures)} of {len(images)} images have no answer{rest}"
        raise UserError("\n  ".join([summary, *failures]))


def _too_large(path: Path, photo: Photo, scale: float) -> str:
    """Why an image has no answer for which there is too little memory."""
    height, width = photo.shape[:2]
    return (
        f"{path}: out of memory at {width} x {height} pixels and a scale of {scale:g}: give a lower --scale"
    )


class _Seen:
    """Counts what is worth a notice in the images that are read, with or without a declared value range."""

    def __init__(self, declared: bool) -> None:
        self.declared = declared
        self.images = 0
        self.turned = 0
        self.deep = 0
        self.misfits = 0

    def add(self, path: Path, photo: Photo) -> None:
        self.images += 1
        self.turned += orientation(path) > 1
        if photo.dtype != np.uint8:
            self.deep += 1
            self.misfits += not fits_range(photo, self.declared)

    def notices(self) -> Iterator[str]:
        if self.turned:
            yield (
                f"{self.turned} of {self.images} images have an EXIF orientation: answers are on the grid of "
                "the stored pixels, as in training"
            )
        if self.misfits:
            yield (
                f"{self.misfits} of {self.deep} images of more than 8 bits {MISFIT}: give --value_range "
                "'[LOW, HIGH]'"
            )


def _answered(model: Any, name: str, photo: Photo, record: PredictionRecord, fabric: Fabric) -> Json:
    """Writes the answers for an image; gives what the record holds of them."""
    answer = _answer(model, photo, name, record.settings["scale"], fabric)
    entry: Json = {"height": photo.shape[0], "width": photo.shape[1]}
    for task, drawing in drawables(model).items():
        if task in answer and task not in (*OUTPUTS, "scene"):
            _write_map(record.folder / task / name, answer[task], drawing.draw(answer[task], model.classes))
    entry["annotation"] = _write(record.folder, name, photo, answer, model.classes)
    if "scene" in answer:
        scores = answer["scene"].astype(float).round(6).tolist()
        entry["scenes"] = dict(zip(model.classes.names, scores, strict=True))
    return entry


def _answer(model: Any, image: Photo, name: str, scale: float, fabric: Fabric) -> Prediction:
    """The answer for one RGB image (H, W, 3) of any type, at its own size."""
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    seen = image if scale == 1 else cv2.resize(image, size, interpolation=method)
    batch = {"image": torch.from_numpy(seen).permute(2, 0, 1)[None].to(fabric.device), "name": [name]}
    with torch.no_grad(), fabric.autocast():
        prediction: Prediction = model.predictions(batch, (height, width))[0]
    return prediction


def _write_map(path: Path, values: Array, picture: Picture | None) -> None:
    """Writes the answer of a further task: an array (`.npy`) and, if it can be drawn, a picture (`.png`)."""
    array = path.with_name(f"{path.name}.npy")
    with replacing(array) as draft:
        np.save(draft, values)
    if picture is not None:
        write_png(path.with_name(f"{path.name}.png"), picture)


def _write(folder: Path, name: str, image: Photo, answer: Prediction, classes: Classes) -> Json | None:
    """Writes what there is of an answer, and gives its entry in the COCO panoptic JSON."""
    colors = None
    entry = None
    if "region" in answer:
        write_region(folder / "region" / f"{name}.png", answer["region"])
        colors = region_colors(answer["region"])
    if "semantic" in answer:
        write_semantic(folder / "semantic" / f"{name}.png", answer["semantic"], classes)
        colors = semantic_colors(answer["semantic"], classes)
    if "panoptic" in answer:
        entry = write_panoptic(folder / "panoptic" / f"{name}.png", answer["panoptic"], classes)
        entry["file_name"] = f"{name}.png"
        colors = panoptic_colors(answer["panoptic"], classes)
    if colors is not None:
        write_png(folder / "overlay" / f"{name}.png", overlay(shown(image), colors))
    return entry
