"""Changes a data set and a run in ways that people's differ in, none of which is damage.

Each change takes a random generator and the folder of a case, with a data set of 6 images in `data/` and a
run that was trained on it in `run/`.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TypeAlias

import cv2
import numpy as np
import torch
import yaml
from PIL import ExifTags, Image

from benchmarks.mutations import EXECUTED
from fusionseg.sample import IntMap

Act: TypeAlias = Callable[[Random, Path], None]
"""A function that changes a data set."""


def narrow(generator: Random, folder: Path) -> None:
    """Images of 9 to 12 bits in 16."""
    _deepen(folder, generator.randint(9, 12), generator.choice(["grey.tif", "color.png"]))


def declared(generator: Random, folder: Path) -> None:
    """The same with the range declared."""
    bits = generator.randint(9, 14)
    _deepen(folder, bits, generator.choice(["grey.tif", "color.png"]))
    path = folder / "data" / "classes.yaml"
    _write(path, f"{path.read_text()}value_range: [0, {2**bits - 1}]\n")


def turned(generator: Random, folder: Path) -> None:
    """Photos with an EXIF orientation, and labels of the stored pixels."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = generator.randint(2, 8)
    suffix = generator.choice([".jpg", ".png", ".tif", ".webp"])
    for path in _photos(folder):
        _taken(path).save(path.with_suffix(suffix), exif=exif)


def displayed(generator: Random, folder: Path) -> None:
    """Photos with an EXIF orientation, and labels of the displayed pixels."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = generator.choice([6, 8])
    for path in _photos(folder):
        _taken(path).transpose(Image.Transpose.ROTATE_90).save(path.with_suffix(".jpg"), exif=exif)


def void_only(generator: Random, folder: Path) -> None:
    """Labels without a labelled pixel, of classes or of regions."""
    part = generator.choice(["semantic", "regions"])
    _relabel(folder, part, lambda ids: np.full_like(ids, 255 if part == "semantic" else 0))


def classes_without_labels(_: Random, folder: Path) -> None:
    """Class ids without a labelled pixel."""
    _relabel(folder, "semantic", lambda ids: np.full_like(ids, 255))


def binary(generator: Random, folder: Path) -> None:
    """Masks of 0 and 255."""
    chosen = generator.randint(1, 2)
    _relabel(folder, "semantic", lambda ids: np.where(ids == chosen, 255, 0).astype(np.uint8))


def permuted(generator: Random, folder: Path) -> None:
    """The classes in another order, or one with another name or kind."""
    path = folder / "data" / "classes.yaml"
    content = yaml.safe_load(path.read_text())
    change = generator.choice(["order", "name", "thing"])
    if change == "order":
        content["classes"] = content["classes"][1:] + content["classes"][:1]
    else:
        entry = generator.choice(content["classes"])
        entry[change] = "other" if change == "name" else not entry[change]
    _write(path, yaml.safe_dump(content))


def reformatted(generator: Random, folder: Path) -> None:
    """Label files as NPY or TIFF of some integer type, with suffixes in any case."""
    for part in ("semantic", "regions"):
        kind = generator.choice([".npy", ".tif", ".TIFF", ".PNG"])
        for path in sorted((folder / "data" / part).iterdir()):
            ids = np.array(_taken(path))
            if kind == ".npy":
                np.save(path.with_suffix(kind), ids.astype(generator.choice([np.uint16, np.int32, np.int64])))
            else:
                Image.fromarray(ids).save(path.with_suffix(kind))


def listed(generator: Random, folder: Path) -> None:
    """Lists with a byte-order mark, line ends of Windows, empty lines and spaces."""
    for path in sorted((folder / "data").glob("*.txt")):
        end = generator.choice(["\r\n", "\n\n", " \n", "\r"])
        mark = generator.choice(["\ufeff", ""])
        _write(path, mark + end.join(path.read_text().split()) + end)


def nested(generator: Random, folder: Path) -> None:
    """All files in folders below, with a name that can be written in two ways, and junk beside them."""
    below = generator.choice(["a", "ü/é", "x.y"])
    for part in ("images", "semantic", "regions"):
        top = folder / "data" / part
        for path in sorted(top.iterdir()):
            (top / below).mkdir(parents=True, exist_ok=True)
            path.rename(top / below / path.name)
        (top / ".DS_Store").touch()
        (top / "Thumbs.db").touch()
    for path in (folder / "data").glob("*.txt"):
        _write(path, "\n".join(f"{below}/{name}" for name in path.read_text().split()))


def paged(generator: Random, folder: Path) -> None:
    """A file of several pages."""
    part = generator.choice(["images", "semantic", "regions"])
    path = folder / "data" / part / "0.png"
    image = _taken(path)
    image.save(path.with_suffix(".tif"), save_all=True, append_images=[image] * generator.randint(1, 3))


def unread(generator: Random, folder: Path) -> None:
    """A photo or label file of a format that is not read."""
    part = generator.choice(["images", "semantic"])
    path = folder / "data" / part / "0.png"
    path.rename(path.with_suffix(generator.choice([".heic", ".CR2", ".svg"])))


def miscolored(_: Random, folder: Path) -> None:
    """Palettes that show the ids in the colors of other classes."""
    colors = [
        entry["color"] for entry in yaml.safe_load((folder / "data" / "classes.yaml").read_text())["classes"]
    ]
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colors)] = colors[1:] + colors[:1]
    for path in sorted((folder / "data" / "semantic").iterdir()):
        image = Image.fromarray(np.array(_taken(path)))
        image.putpalette(palette.tobytes())
        image.save(path)


def coco(_: Random, folder: Path) -> None:
    """The data set in COCO's layout, photos as PNG, without `iscrowd`."""
    for split, names in {"train": "0123", "val": "45"}.items():
        photos = folder / "coco" / f"{split}2017"
        labels = folder / "coco" / "annotations" / f"panoptic_{split}2017"
        for made in (photos, labels):
            made.mkdir(parents=True)
        images = []
        annotations = []
        for number, name in enumerate(names, 1):
            (photos / f"{name}.png").write_bytes((folder / f"data/images/{name}.png").read_bytes())
            ids = np.array(Image.open(folder / f"data/regions/{name}.png")).astype(np.uint8)
            Image.fromarray(np.stack([ids, ids * 0, ids * 0], 2)).save(labels / f"p{name}.png")
            images.append({"id": number, "file_name": f"{name}.png"})
            segments = [{"id": int(i), "category_id": int(i) - 1} for i in np.unique(ids)]
            annotations.append({"image_id": number, "file_name": f"p{name}.png", "segments_info": segments})
        categories = [{"id": i, "name": name, "isthing": int(i > 1)} for i, name in enumerate("abc")]
        content = {"images": images, "annotations": annotations, "categories": categories}
        labels.with_suffix(".json").write_text(json.dumps(content))


def coco_twice(generator: Random, folder: Path) -> None:
    """The same with a segment, an annotation or a category that is listed twice."""
    coco(generator, folder)
    path = folder / "coco" / "annotations" / "panoptic_train2017.json"
    content = json.loads(path.read_text())
    segments = content["annotations"][0]["segments_info"]
    entries = generator.choice([segments, content["annotations"], content["categories"]])
    entries.append(entries[0])
    path.write_text(json.dumps(content))


def foreign(generator: Random, folder: Path) -> None:
    """A checkpoint and a configuration whose head is of a package that lies beside them, and runs code."""
    (folder / "evil.py").write_text(
        f"open({EXECUTED!r}, 'w')\nfrom fusionseg.heads import SemanticHead as Head\n"
    )
    path = folder / "run" / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    part = generator.choice(["semantic_head", "region_head", "network", "balancer", "optimizer"])
    content["hyper_parameters"][part] = {"class_path": "evil.Head"}
    whole = io.BytesIO()
    torch.save(content, whole)
    path.unlink()
    path.write_bytes(whole.getvalue())
    config = folder / "run" / "config.yaml"
    settings = yaml.safe_load(config.read_text())
    settings["model"]["init_args"][part] = {"class_path": "evil.Head"}
    _write(config, yaml.safe_dump(settings))


def broken(line: str, where: str) -> Act:
    """A change that puts a head of one's own beside the data, with a line of code somewhere in it."""

    def written(_: Random, folder: Path) -> None:
        lines = dict.fromkeys(("module", "init", "forward"), "pass") | {where: line}
        (folder / "own.py").write_text(
            "from fusionseg.heads import SemanticHead\n"
            f"{lines['module']}\n"
            "class Head(SemanticHead):\n"
            "    def __init__(self, in_channels: int, num_classes: int) -> None:\n"
            "        super().__init__(in_channels, num_classes)\n"
            f"        {lines['init']}\n"
            "    def forward(self, features):\n"
            f"        {lines['forward']}\n"
            "        return super().forward(features)\n"
        )

    return written


def _photos(folder: Path) -> list[Path]:
    return sorted((folder / "data" / "images").iterdir())


def _deepen(folder: Path, bits: int, kind: str) -> None:
    """Replaces photos by grey TIFF or color PNG files of so many bits in 16."""
    for path in _photos(folder):
        values = (np.array(_taken(path)) / 255 * (2**bits - 1)).round().astype(np.uint16)
        if kind == "grey.tif":
            Image.fromarray(values[..., 0]).save(path.with_suffix(".tif"))
        else:
            cv2.imwrite(str(path), values)


def _relabel(folder: Path, part: str, change: Callable[[IntMap], IntMap]) -> None:
    for path in sorted((folder / "data" / part).iterdir()):
        Image.fromarray(change(np.array(_taken(path)))).save(path)


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(text.encode())


def _taken(path: Path) -> Image.Image:
    """An image whose file is removed, as it is a hard link to the original."""
    with Image.open(path) as image:
        image.load()
    path.unlink()
    return image
