"""Small datasets in the layouts of the real downloads."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy.io import savemat

CLASSES = """
classes: [{name: sky, color: [1, 2, 3]}, {name: cell, thing: true}]
region: one nucleus
"""


def save(path: Path, values: npt.ArrayLike, dtype: type = np.uint8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, dtype)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes the layout of `Folder`: sky above two touching cells."""

    def written(names: Iterable[str] = "abcdefghij", semantic: bool = True, regions: bool = True) -> Path:
        classes, cells = np.zeros((20, 30), int), np.ones((20, 30), int)
        classes[10:], cells[10:, :15], cells[10:, 15:] = 1, 2, 300
        classes[19:], cells[19:] = 255, 0
        for i, name in enumerate(names):
            save(tmp_path / f"images/{name}.{('png', 'jpg', 'bmp')[i % 3]}", np.full((20, 30, 3), 20 * i))
            if semantic:
                save(tmp_path / f"semantic/{name}.png", classes)
            if regions:
                save(tmp_path / f"regions/{name}.png", cells, np.uint16)
        (tmp_path / "classes.yaml").write_text(CLASSES)
        return tmp_path

    return written


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """CamVid with the official list's absolute paths: a road, two specks of cars and void."""
    labels = np.full((20, 30), 3)
    labels[2:8, 2:8], labels[12, 12], labels[19] = 8, 8, 11
    for split in ("train", "val", "test"):
        lines = []
        for i in range(2):
            save(tmp_path / split / f"{split}_{i}.png", np.full((20, 30, 3), 100 + i))
            save(tmp_path / f"{split}annot" / f"{split}_{i}.png", labels)
            lines.append(
                f"/SegNet/CamVid/{split}/{split}_{i}.png /SegNet/CamVid/{split}annot/{split}_{i}.png\n"
            )
        (tmp_path / f"{split}.txt").write_text("".join(lines))
    return tmp_path


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """COCO panoptic: grass (stuff, category 90) around two persons (1), a crowd of persons, and void."""
    categories = [
        {"id": 90, "name": "grass", "isthing": 0, "supercategory": "plant"},
        {"id": 1, "name": "person", "isthing": 1, "supercategory": "person", "color": [220, 20, 60]},
    ]
    ids = np.full((20, 30), 70000)
    ids[2:8, 2:8], ids[2:8, 8:12], ids[12:16, 12:16], ids[19] = 5, 300, 8345037, 0
    colors = np.dstack([ids % 256, ids // 256 % 256, ids // 65536])
    segments = [(300, 1, 0), (70000, 90, 0), (8345037, 1, 1), (5, 1, 0)]
    for number, split in ((7, "train2017"), (8, "val2017")):
        name = f"{number:012d}"
        Image.fromarray(np.full((20, 30), 80, np.uint8)).save(_parent(tmp_path / split / f"{name}.jpg"))
        save(tmp_path / "annotations" / f"panoptic_{split}" / f"{name}.png", colors)
        info = [
            {"id": i, "category_id": c, "iscrowd": crowd, "area": 1, "bbox": []} for i, c, crowd in segments
        ]
        content = {
            "images": [{"id": number, "file_name": f"{name}.jpg"}],
            "annotations": [{"image_id": number, "file_name": f"{name}.png", "segments_info": info}],
            "categories": categories,
        }
        (tmp_path / "annotations" / f"panoptic_{split}.json").write_text(json.dumps(content))
    return tmp_path


@pytest.fixture
def bsds(tmp_path: Path) -> Path:
    """BSDS500: in each split a wide and a high photo; annotator k of three sees regions 1 and k on either side."""
    for split in ("train", "val", "test"):
        for i, (height, width) in enumerate(((20, 30), (30, 20))):
            name = f"{split}{i}"
            people = np.empty((1, 3), object)
            for k in range(3):
                region = np.ones((height, width), np.uint16)
                region[:, 5 + 5 * k :] = k + 2
                people[0, k] = {"Segmentation": region, "Boundaries": np.zeros_like(region, np.uint8)}
            photo = np.full((height, width, 3), 60 + 40 * i, np.uint8)
            Image.fromarray(photo).save(_parent(tmp_path / f"data/images/{split}/{name}.jpg"))
            savemat(_parent(tmp_path / f"data/groundTruth/{split}/{name}.mat"), {"groundTruth": people})
        (tmp_path / f"data/images/{split}/Thumbs.db").touch()
    return tmp_path


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
