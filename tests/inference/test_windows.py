import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from fusionseg.engine.predictions import predictions
from fusionseg.files.images import boxes
from fusionseg.files.large_tiff import LargeTiff
from fusionseg.heads import (
    AffinityHead,
    BoundaryHead,
    CenterOffsetHead,
    DistanceHead,
    SemanticHead,
    TrinaryHead,
)
from fusionseg.inference.answer import COLUMNS, Answer
from fusionseg.inference.inputs import NamedPhoto
from fusionseg.inference.thumbnail import LONGEST
from fusionseg.inference.windows import Windows
from fusionseg.sample import Classes, Frame

CLASSES = Classes(("road", "car", "tree"), ((128, 64, 128), (0, 0, 142), (107, 142, 35)), things=(1,))
HEADS: list[Callable[[int], Any]] = [BoundaryHead, TrinaryHead, DistanceHead, AffinityHead, CenterOffsetHead]


class Sighted:
    """A predictor whose network sees everything: a window's output is that part of the output of the whole image.

    Pixels of the image say where they are.
    """

    classes = CLASSES
    channels = 3

    def __init__(self, head: Any, region: np.ndarray, semantic: np.ndarray) -> None:
        self.settings = {"scale": 1.0, "value_range": None}
        self.heads = {"semantic": SemanticHead(4, 3), "region": head}
        batch = {
            "region": torch.from_numpy(region)[None].long(),
            "semantic": torch.from_numpy(semantic)[None].long(),
        }
        batch["image"] = torch.zeros(1, 3, *region.shape)
        self.outputs = {task: one.ideal(one.target(batch)) for task, one in self.heads.items()}

    def answers(self, photos: list[NamedPhoto], extras: Any) -> list[Answer]:
        [(name, photo)] = photos
        (top, left), (height, width) = photo[0, 0, :2].tolist(), photo.shape[:2]
        part = {task: one[..., top : top + height, left : left + width] for task, one in self.outputs.items()}
        frame = Frame.whole((height, width))
        found = predictions(part, self.heads, frame, [name], CLASSES, extras=extras)
        return [Answer.of(found[0], photo, CLASSES, self.heads)]

    @property
    def whole(self) -> Answer:
        return self.answers(
            [NamedPhoto("a", coordinates(self.outputs["region"].shape[-2:]))], ("confidence",)
        )[0]


def coordinates(size: Any) -> np.ndarray:
    rows, columns = np.indices(size, np.uint16)
    return np.stack([rows, columns, rows], 2)


def cells(size: tuple[int, int], spacing: int) -> np.ndarray:
    """Regions that are nearest to one of many points."""
    generator = np.random.default_rng(0)
    points = np.stack(
        np.meshgrid(*(np.arange(spacing // 2, side, spacing) for side in size), indexing="ij"), -1
    )
    points = points.reshape(-1, 2) + generator.integers(-spacing // 4, spacing // 4, (points.size // 2, 2))
    rows, columns = np.indices(size)
    distance = (rows[..., None] - points[:, 0]) ** 2 + (columns[..., None] - points[:, 1]) ** 2
    found: np.ndarray = distance.argmin(-1) + 1
    return found


def snake(size: tuple[int, int], thickness: int) -> np.ndarray:
    """A region that winds from top to bottom, and one around it."""
    region = np.ones(size, np.int64)
    ends = (slice(thickness, 2 * thickness), slice(size[1] - 2 * thickness, size[1] - thickness))
    for number, top in enumerate(range(thickness, size[0] - 3 * thickness, 2 * thickness)):
        region[top : top + thickness, thickness : size[1] - thickness] = 2
        region[top : top + 3 * thickness, ends[number % 2]] = 2
    return region


def written(
    predictor: Any, folder: Path, tile: int = 128, overlap: int = 64
) -> tuple[Any, np.ndarray, np.ndarray]:
    """What windows write of the image: the entry of the record, classes and regions."""
    height, width = predictor.outputs["region"].shape[-2:]
    tifffile.imwrite(folder / "a.tif", coordinates((height, width)), photometric="rgb", tile=(64, 64))
    with LargeTiff(folder / "a.tif") as tiff:
        steps = Windows(predictor, tile, overlap).write(tiff, folder / "out", "a")
        count = 0
        while True:
            try:
                next(steps)
            except StopIteration as end:
                entry = end.value
                break
            count += 1
            assert not (folder / "out" / "region").exists()
    assert count == len(Windows(predictor, tile, overlap).grid(height, width))
    semantic = tifffile.imread(folder / "out" / "semantic" / "a.tif")
    return entry, semantic, tifffile.imread(folder / "out" / "region" / "a.tif")


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    pairs = len(np.unique(np.stack([one.ravel(), other.ravel()]), axis=1).T)
    return pairs == len(np.unique(one)) == len(np.unique(other))


def classes_of(region: np.ndarray) -> np.ndarray:
    """Classes of regions, with some pixels of another one."""
    semantic = region % 3
    semantic[::7, ::5] = 1
    return semantic


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_regions_smaller_than_the_overlap_are_those_of_the_whole_image(
    tmp_path: Path, head: Callable[[int], Any]
) -> None:
    region = cells((229, 310), 18)
    predictor = Sighted(head(4), region, classes_of(region))
    whole = predictor.whole
    _, semantic, found = written(predictor, tmp_path)
    np.testing.assert_array_equal(semantic, whole.semantic)
    assert len(np.unique(whole.region)) > 100
    assert same_partition(found, whole.region)
    assert found.dtype == np.uint32
    np.testing.assert_array_equal(np.unique(found), np.arange(1, found.max() + 1))


@pytest.mark.slow
@pytest.mark.parametrize("head", [BoundaryHead, TrinaryHead, AffinityHead])
def test_a_long_region_across_many_windows_stays_one(tmp_path: Path, head: Callable[[int], Any]) -> None:
    region = snake((390, 420), 15)
    predictor = Sighted(head(4), region, classes_of(region))
    whole = predictor.whole
    _, _, found = written(predictor, tmp_path)
    assert len(np.unique(whole.region)) == 2
    assert same_partition(found, whole.region)


def test_the_table_is_that_of_the_whole_label_maps(tmp_path: Path) -> None:
    region = cells((229, 310), 30)
    predictor = Sighted(BoundaryHead(4), region, classes_of(region))
    entry, semantic, found = written(predictor, tmp_path)
    assert entry == {"height": 229, "width": 310, "segments_file": "segments/a.csv"}
    with (tmp_path / "out" / "segments" / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    places, areas = boxes(found - np.uint32(1), int(found.max()))
    confidence = predictor.whole.confidence
    for number, row in enumerate(rows, 1):
        inside = found == number
        label = np.bincount(semantic[inside]).argmax()
        box = [int(row[side]) for side in ("left", "top", "width", "height")]
        assert (int(row["id"]), int(row["area"]), box) == (number, areas[number - 1], places[number - 1])
        assert (row["class"], row["thing"]) == (CLASSES.names[label], str(label == 1))
        np.testing.assert_allclose(float(row["score"]), confidence[inside].mean(), rtol=1e-6)


def test_the_overlay_is_small_whatever_the_image(tmp_path: Path) -> None:
    region = np.ones((40, 2 * LONGEST + 100), np.int64)
    region[:, 3000:] = 2
    predictor = Sighted(BoundaryHead(4), region, region)
    written(predictor, tmp_path, 256, 64)
    pixels = np.asarray(Image.open(tmp_path / "out" / "overlay" / "a.png"))
    assert pixels.shape == (14, 1367, 3)
    # each half under the color of its class
    photo = np.full(3, 20 / 65535 * 255)
    expected = [(photo + np.array(CLASSES.colors[label])) / 2 for label in (1, 2)]
    assert abs(pixels[7, 1300].astype(float) - expected[1])[1:].max() < 16
    assert (pixels[7, 100] != pixels[7, 1300]).any()


def test_nothing_is_left_beside_the_answer(tmp_path: Path) -> None:
    region = cells((130, 140), 30)
    written(Sighted(BoundaryHead(4), region, classes_of(region)), tmp_path)
    files = {
        path.relative_to(tmp_path / "out").as_posix()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert files == {"semantic/a.tif", "region/a.tif", "segments/a.csv", "overlay/a.png"}
