"""Predicts images in files and writes label maps, COCO panoptic JSON, scene scores and overlays."""

import glob
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from lightning.fabric import Fabric
from PIL import Image
from rich.console import Console
from rich.progress import track

from fusionseg.config.errors import UsageError
from fusionseg.config.lightning_messages import quiet
from fusionseg.engine.precision import fast_precision
from fusionseg.engine.predictions import drawables
from fusionseg.files.atomic import Json, replacing, write_json
from fusionseg.files.images import (
    coco_panoptic_json,
    write_panoptic,
    write_png,
    write_region,
    write_semantic,
)
from fusionseg.files.photos import Photo, orientation, read_image
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.restore import restored
from fusionseg.sample import Array, Classes, Picture, Prediction
from fusionseg.visualize import overlay, panoptic_colors, region_colors, semantic_colors, shown

OUTPUTS = ("panoptic.json", "scenes.json", "semantic", "region", "panoptic", "overlay")
"""What is written, where a model has what it needs; those of further tasks have the tasks' names."""


def image_files(paths: Sequence[str]) -> dict[str, Path]:
    """The image files that paths name, by names that are unique and can name the output.

    Args:
        paths: Files, folders that are searched with all below, and glob patterns.

    Raises:
        FileNotFoundError: If a path names no image.
        ValueError: If several images have the same name.
    """
    files: dict[Path, Path] = {}
    for path in paths:
        found = _found(path)
        if not found:
            raise FileNotFoundError(f"{path}: expected an image, a folder of images or a pattern, found none")
        files.update(found)
    stems = [str(name.with_suffix("")) for name in files.values()]
    names = [s if stems.count(s) == 1 else str(name) for s, name in zip(stems, files.values(), strict=True)]
    if len(set(names)) < len(names):
        raise ValueError("several images have the same name: predict them into different folders")
    return dict(zip(names, files, strict=True))


def _found(text: str) -> dict[Path, Path]:
    """The image files that one path names, each with its path relative to the folder that was named."""
    path = Path(text)
    if path.is_dir():
        kinds = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
        inside = [f for f in sorted(path.rglob("*")) if f.is_file() and f.suffix.lower() in kinds]
        return {f: f.relative_to(path) for f in inside}
    matching = [path] if path.is_file() else map(Path, sorted(glob.glob(text, recursive=True)))
    return {f: Path(f.name) for f in matching if f.is_file()}


def prepared_folder(folder: Path) -> Path:
    """The folder to write to, if it holds no predictions.

    Raises:
        NotADirectoryError: If it is a file.
        FileExistsError: If it holds predictions.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file: choose a folder with --out")
    if any((folder / name).exists() for name in OUTPUTS):
        raise FileExistsError(
            f"{folder} already holds predictions: choose another folder with --out, or remove it"
        )
    return folder


def model_of(
    run: Path | None, checkpoint: Path | None, scale: float | None = None, trust: Iterable[str] = ()
) -> tuple[Any, float]:
    """A model of RGB images, and the size at which it sees them, relative to their files.

    Args:
        run: A run folder, whose best checkpoint is taken.
        checkpoint: A checkpoint instead.
        scale: The size; that of the training data where left out.
        trust: As in `restored`.

    Raises:
        UsageError: If not one of run and checkpoint is given, or the size is not above 0.
        ValueError: If there is no such model, or its images are not RGB.
    """
    if (run is None) == (checkpoint is None):
        raise UsageError(f"expected --run or --checkpoint, found {'neither' if run is None else 'both'}")
    if scale is not None and not scale > 0:
        raise UsageError(f"expected a size above 0, found {scale}", "scale")
    if run is not None:
        RunFolder(run).configuration()
        checkpoint = RunFolder(run).best_checkpoint()
    assert checkpoint is not None
    model, data = restored(checkpoint, run, trust)
    backbone: Any = model.hparams.get("backbone", {})
    channels = backbone.get("in_channels", 3)
    if channels != 3:
        raise ValueError(
            f"expected a model of RGB images, found one of {channels} channels: use its predictions() "
            "in Python"
        )
    return model, scale or float(data.get("scale", 1.0))


def predict(
    model: Any, files: Mapping[str, Path], folder: Path, scale: float, precision: str | None = None
) -> None:
    """Writes the answers of a model for images in files.

    Args:
        model: A LightningModule with `classes` and `predictions(batch, size)`.
        files: The images by the names of their output.
        folder: Where to write.
        scale: Size at which the model sees an image, relative to the file.
        precision: As Lightning's; the fastest where left out.

    Raises:
        ValueError: If images could not be read; all others are predicted before.
    """
    with quiet():
        fabric = Fabric(devices=1, precision=precision or fast_precision())  # type: ignore[arg-type]
    model = model.to(fabric.device)
    further = {task: drawing for task, drawing in drawables(model).items() if task not in (*OUTPUTS, "scene")}
    images: list[Json] = []
    entries: list[Json] = []
    scenes: dict[str, dict[str, float]] = {}
    broken: list[str] = []
    turned = 0
    console = Console(stderr=True)
    hidden = not console.is_terminal
    watched = track(files.items(), "predicting", console=console, transient=True, disable=hidden)
    for number, (name, path) in enumerate(watched, 1):
        try:
            image = read_image(path)
            turned += orientation(path) > 1
        except (ValueError, OSError) as error:
            broken.append(str(error))
            continue
        answer = _answer(model, image, name, scale, fabric)
        height, width = image.shape[:2]
        images.append({"id": number, "file_name": path.name, "height": height, "width": width})
        for task, drawing in further.items():
            if task in answer:
                _write_map(folder / task / name, answer[task], drawing.draw(answer[task], model.classes))
        if (entry := _write(folder, name, image, answer, model.classes)) is not None:
            entries.append({"image_id": number, **entry})
        if "scene" in answer:
            scores = answer["scene"].astype(float).round(6).tolist()
            scenes[name] = dict(zip(model.classes.names, scores, strict=True))
    if entries:
        write_json(folder / "panoptic.json", coco_panoptic_json(images, entries, model.classes))
    if scenes:
        write_json(folder / "scenes.json", scenes)
    if turned:
        print(
            f"{turned} of {len(files)} images have an EXIF orientation: answers are on the grid of the "
            "stored pixels, as in training",
            file=sys.stderr,
        )
    if broken:
        rest = f"; the others are in {folder}" if images else ""
        summary = f"{len(broken)} of {len(files)} images could not be read{rest}"
        raise ValueError("\n  ".join([summary, *broken]))


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
