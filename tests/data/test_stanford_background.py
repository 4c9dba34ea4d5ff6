import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from fusionseg.data.base import DataError, Pixels, Split
from fusionseg.data.download_parts import shortfalls
from fusionseg.data.folds import dealt
from fusionseg.data.stanford_background import StanfordBackground
from fusionseg.sample import VOID

SPLITS: tuple[Split, ...] = ("train", "val", "test")


def test_reading_gives_back_the_scenes(stanford: Path, pixel_scenes: list[Pixels]) -> None:
    seen = 0
    for split in SPLITS:
        dataset = StanfordBackground(split, stanford)
        for index in range(len(dataset)):
            scene = pixel_scenes[int(dataset.name(index))]
            image, semantic, region, _ = dataset.read(index)
            assert np.abs(image.astype(int) - scene.image).mean() < 3  # a JPEG
            assert np.array_equal(semantic, scene.semantic)
            assert np.array_equal(
                region, np.unique(scene.region, return_inverse=True)[1].reshape(region.shape)
            )
            assert (region == 0).any()
            assert (semantic == VOID).any()
            seen += 1
    assert seen == len(pixel_scenes)


@pytest.mark.parametrize("name", ["iccv09Data.tar.gz", "iccv09Data.tar"])
def test_the_download_is_read_without_unpacking(
    name: str, stanford: Path, packed: Callable[..., Path], tmp_path: Path
) -> None:
    top = tmp_path / "all" / "iccv09Data"
    top.mkdir(parents=True)
    for folder in ("images", "labels"):
        shutil.move(stanford / folder, top)
    archive = packed(top.parent, tmp_path / "download" / name)
    plain = StanfordBackground("train", top)
    for root in (archive, archive.parent, top.parent):
        dataset = StanfordBackground("train", root)
        assert dataset.names == plain.names
        for one, other in zip(dataset.read(1)[:3], plain.read(1)[:3], strict=True):
            assert np.array_equal(one, other)
    (line,) = shortfalls(dataset.download)
    assert line.startswith(
        "iccv09Data.tar.gz: 7 of 715 photos with classes and regions, so that the folds are not those of all"
    )


def test_surfaces_are_classes_on_request(stanford: Path, pixel_scenes: list[Pixels]) -> None:
    dataset = StanfordBackground("test", stanford, semantic="surfaces")
    semantic = pixel_scenes[int(dataset.name(0))].semantic
    assert dataset.classes.names == ("sky", "horizontal", "vertical")
    assert np.array_equal(dataset.labels(0).semantic, np.where(semantic == 255, 255, np.minimum(semantic, 2)))
    assert np.array_equal(dataset.labels(0).region, StanfordBackground("test", stanford).labels(0).region)
    assert dataset.sources() != StanfordBackground("test", stanford).sources()


def layers(root: Path, grid: np.ndarray) -> StanfordBackground:
    """The first image of the test split with other layers."""
    dataset = StanfordBackground("test", root)
    np.savetxt(root / "labels" / f"{dataset.name(0)}.layers.txt", grid, "%d")
    return dataset


def test_a_region_may_be_in_parts_and_each_part_one_of_its_own(stanford: Path) -> None:
    grid = np.arange(48 * 64).reshape(48, 64) % 7 * 100 - 100  # diagonals, one id of which is negative
    dataset = layers(stanford, grid)
    whole = dataset.labels(0).region
    assert np.array_equal(whole, np.arange(48 * 64).reshape(48, 64) % 7)
    parts = StanfordBackground("test", stanford, connected=True).labels(0).region
    expected, count = np.zeros_like(grid), 0
    for i in range(1, 7):
        found, number = ndimage.label(whole == i)
        expected[found > 0] = found[found > 0] + count
        count += number
    assert count > VOID
    pairs = np.unique(np.stack([parts.ravel(), expected.ravel()]), axis=1)
    assert pairs.shape[1] == count + 1 == len(np.unique(parts))
    assert np.array_equal(parts == 0, grid < 0)


def test_many_regions_are_told_apart_where_connected(stanford: Path) -> None:
    grid = np.repeat(np.arange(300), 11)[: 48 * 64].reshape(48, 64)
    layers(stanford, grid)
    parts = StanfordBackground("test", stanford, connected=True).labels(0).region
    assert (parts > 0).all()
    assert len(np.unique(parts)) >= len(np.unique(grid))


def test_folds_are_those_of_the_names(stanford: Path, pixel_scenes: list[Pixels]) -> None:
    names = [f"{i:07d}" for i in range(len(pixel_scenes))]
    for fold in (0, 3):
        for split in SPLITS:
            assert StanfordBackground(split, stanford, fold).names == dealt(names, split, fold, stanford)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 2\n0 1\n", r"a row of pixels in each line of .*regions\.txt, found .*: download it again"),
        ("", r"found an empty file: download it again"),
        ("0 tree 2\n", r"found .*tree"),
        ("0 8\n0 1\n", r"class ids 0\.\.7, or below 0, found 8 in .*regions\.txt"),
        ("0 1\n0 1\n", r"labels of one size, found \(2, 2\) in .*regions.txt, \(48, 64\) in .*layers.txt"),
    ],
)
def test_a_damaged_label_file_is_named(text: str, message: str, stanford: Path) -> None:
    dataset = StanfordBackground("test", stanford)
    (stanford / "labels" / f"{dataset.name(0)}.regions.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        dataset.labels(0)


def test_a_photo_of_another_size_is_named(stanford: Path) -> None:
    dataset = StanfordBackground("test", stanford)
    Image.fromarray(np.zeros((48, 63, 3), np.uint8)).save(dataset.photo(0))
    with pytest.raises(DataError, match=r"size 63 x 48 \(.*\.jpg\), found 64 x 48 in .*regions\.txt"):
        dataset.read(0)


def test_a_wrong_folder_and_half_a_download_are_named(stanford: Path) -> None:
    with pytest.raises(DataError, match=r"labels/images, .*labels/labels; expected this layout \(set root"):
        StanfordBackground("train", stanford / "labels")
    (stanford / "labels" / "0000003.layers.txt").unlink()
    with pytest.raises(DataError, match=r"no labels in .*labels for 0000003"):
        StanfordBackground("train", stanford)
    (stanford / "images" / "0000003.jpg").unlink()
    with pytest.raises(DataError, match="no images for the labels 0000003 in"):
        StanfordBackground("train", stanford)
