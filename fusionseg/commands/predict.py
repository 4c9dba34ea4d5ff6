"""Predicts images: label maps, COCO panoptic JSON and overlays."""

import argparse
import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import torch
from lightning.fabric import Fabric
from PIL import Image
from rich.console import Console
from rich.progress import track

from fusionseg.config.errors import UsageError, Words
from fusionseg.config.lightning_messages import quiet
from fusionseg.engine.precision import fast_precision
from fusionseg.files.atomic import write_json
from fusionseg.files.images import (
    coco_panoptic_json,
    read_image,
    write_panoptic,
    write_png,
    write_region,
    write_semantic,
)
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.restore import restored
from fusionseg.sample import Picture, Prediction
from fusionseg.visualize import overlay, panoptic_colors, region_colors, semantic_colors

OUTPUTS = ("panoptic.json", "scenes.json", "semantic", "region", "panoptic", "overlay")
"""What is written, where a model has what it needs."""


def words(args: Sequence[str]) -> argparse.Namespace:
    """The arguments of this command."""
    parser = Words(
        "python -m fusionseg.predict",
        "Writes for each image a semantic PNG (palette), a region PNG (16 bit), a panoptic PNG with COCO panoptic "
        "JSON, an overlay, and in scenes.json how likely it shows each class.",
    )
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--run", type=Path, help="run folder, for its best checkpoint")
    model.add_argument("--checkpoint", type=Path, help="checkpoint file")
    parser.add_argument(
        "--images", nargs="+", required=True, help="images, folders of images, or glob patterns"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--scale", type=float, help="size at which the network sees an image (default: as trained)"
    )
    parser.add_argument(
        "--precision", default=None, help="as Lightning's (default: bf16-mixed where it is fast)"
    )
    known = parser.parse_args(args)
    if known.scale is not None and known.scale <= 0:
        raise UsageError(f"expected a size above 0, found {known.scale}", "scale")
    return known


def found(paths: Sequence[str]) -> dict[str, Path]:
    """The image files that the paths name, by names that are unique and can name the output.

    Raises:
        FileNotFoundError: If a path names no image.
    """
    kinds = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    files: dict[Path, Path] = {}
    for text in paths:
        path = Path(text)
        if path.is_dir():
            inside = {
                f: f.relative_to(path)
                for f in sorted(path.rglob("*"))
                if f.is_file() and f.suffix.lower() in kinds
            }
        elif path.is_file():
            inside = {path: Path(path.name)}
        else:
            inside = {
                Path(f): Path(Path(f).name)
                for f in sorted(glob.glob(text, recursive=True))
                if Path(f).is_file()
            }
        if not inside:
            raise FileNotFoundError(f"{text}: expected an image, a folder of images or a pattern, found none")
        files.update(inside)
    stems = [str(name.with_suffix("")) for name in files.values()]
    names = [s if stems.count(s) == 1 else str(name) for s, name in zip(stems, files.values(), strict=True)]
    if len(set(names)) < len(names):
        raise ValueError("several images have the same name: predict them into different folders")
    return dict(zip(names, files, strict=True))


def loaded(known: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The model that the arguments name, and the settings of its data.

    Raises:
        ValueError: If its images are not RGB.
    """
    if known.run:
        RunFolder(known.run).configuration()
    model, data = restored(known.checkpoint or RunFolder(known.run).best_checkpoint(), known.run)
    channels = model.hparams.get("backbone", {}).get("in_channels", 3)
    if channels != 3:
        raise ValueError(
            f"expected a model of RGB images, found one of {channels} channels: use its predictions() in Python"
        )
    return model, data


def predict(model: Any, image: Picture, name: str, scale: float, fabric: Fabric) -> Prediction:
    """The answer for one RGB image, at its own size."""
    height, width = image.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    seen = image if scale == 1 else cv2.resize(image, size, interpolation=method)
    batch = {"image": torch.from_numpy(seen).permute(2, 0, 1)[None].to(fabric.device), "name": [name]}
    with torch.no_grad(), fabric.autocast():
        prediction: Prediction = model.predictions(batch, (height, width))[0]
    return prediction


def write(folder: Path, name: str, image: Picture, answer: Prediction, classes: Any) -> dict[str, Any] | None:
    """Writes what there is of an answer, and gives its entry in the COCO panoptic JSON."""
    colors, entry = None, None
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
        write_png(folder / "overlay" / f"{name}.png", overlay(image, colors))
    return entry


def main(args: Sequence[str]) -> None:
    """Predicts as the words of a command line say."""
    known = words(args)
    files = found(known.images)
    if known.out.exists() and not known.out.is_dir():
        raise NotADirectoryError(f"{known.out} is a file: choose a folder with --out")
    if any((known.out / name).exists() for name in OUTPUTS):
        raise FileExistsError(
            f"{known.out} already holds predictions: choose another folder with --out, or remove it"
        )
    model, data = loaded(known)
    classes: Any = model.classes
    scale = known.scale or float(data.get("scale", 1.0))
    with quiet():
        fabric = Fabric(devices=1, precision=known.precision or fast_precision())  # type: ignore[arg-type]
    model = model.to(fabric.device)
    images, entries, broken = [], [], []
    scenes: dict[str, dict[str, float]] = {}
    shown = Console(stderr=True)
    watched = track(files.items(), "predicting", console=shown, transient=True, disable=not shown.is_terminal)
    for number, (name, path) in enumerate(watched, 1):
        try:
            image = read_image(path, orient=True)
        except (ValueError, OSError) as error:
            broken.append(str(error))
            continue
        answer = predict(model, image, name, scale, fabric)
        entry = write(known.out, name, image, answer, classes)
        images.append(
            {"id": number, "file_name": path.name, "height": image.shape[0], "width": image.shape[1]}
        )
        if entry is not None:
            entries.append({"image_id": number, **entry})
        if "scene" in answer:
            scenes[name] = dict(
                zip(classes.names, answer["scene"].astype(float).round(6).tolist(), strict=True)
            )
    if entries:
        write_json(known.out / "panoptic.json", coco_panoptic_json(images, entries, classes))
    if scenes:
        write_json(known.out / "scenes.json", scenes)
    if broken:
        rest = f"; the others are in {known.out}" if images else ""
        summary = f"{len(broken)} of {len(files)} images could not be read{rest}"
        raise ValueError("\n  ".join([summary, *broken]))
    print(known.out)
