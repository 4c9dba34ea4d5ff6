import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fusionseg.data.base import Labels
from fusionseg.data.class_counts import class_counts, image_counts
from fusionseg.data.folder import Folder
from fusionseg.data.synthetic import SyntheticScenes


class Watched(Folder):
    """A folder that counts how many label files are read in this process."""

    reads = 0

    def labels(self, index: int) -> Labels:
        type(self).reads += 1
        return super().labels(index)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder of 40 images, of which the first lists 25 to train on."""
    random = np.random.default_rng(0)
    for part in ("images", "semantic"):
        (tmp_path / part).mkdir()
    for number in range(40):
        Image.fromarray(random.integers(0, 256, (8, 9, 3), np.uint8)).save(tmp_path / f"images/{number}.png")
        Image.fromarray(random.choice([0, 1, 2, 255], (8, 9)).astype(np.uint8)).save(
            tmp_path / f"semantic/{number}.png"
        )
    (tmp_path / "classes.yaml").write_text("classes: [{name: a}, {name: b}, {name: c}]")
    (tmp_path / "train.txt").write_text("\n".join(map(str, range(25))))
    Watched.reads = 0
    yield tmp_path
    tmp_path.chmod(0o755)


def slow(root: Path) -> list[int]:
    maps = [np.asarray(Image.open(root / f"semantic/{number}.png")) for number in range(25)]
    return [sum(int((one == label).sum()) for one in maps) for label in range(3)]


@pytest.mark.parametrize("workers", [0, 2])
def test_any_number_of_workers_counts_the_same(root: Path, workers: int) -> None:
    before = torch.random.get_rng_state()
    assert class_counts(Watched("train", root), 0, workers).tolist() == slow(root)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert Watched.reads == (0 if workers else 25)


def test_counts_are_kept_beside_the_list_and_read_from_there(root: Path) -> None:
    expected = slow(root)
    for _ in range(2):
        assert class_counts(Watched("train", root), 0).tolist() == expected
    assert Watched.reads == 25
    assert [path.name[:13] for path in root.iterdir() if path.is_file()].count(".class_counts") == 1
    Watched("train", root)  # which passes over it


@pytest.mark.parametrize("change", ["label", "list", "area", "damage"])
def test_what_has_changed_is_counted_again(root: Path, change: str) -> None:
    class_counts(Watched("train", root), 0)
    area = 1
    if change == "label":
        Image.fromarray(np.full((8, 9), 2, np.uint8)).save(root / "semantic" / "7.png")
    elif change == "list":
        (root / "train.txt").write_text("\n".join(map(str, range(1, 26))))
    elif change == "area":
        area = 2
    else:
        next(root.glob(".class_counts*")).write_text("[1, 2")
    found = class_counts(Watched("train", root, min_area=area), 0)
    assert Watched.reads == 50
    if change != "list":
        assert found.tolist() == slow(root)


def test_counts_of_each_image_are_kept_and_serve_those_of_an_epoch(root: Path) -> None:
    dataset = Watched("train", root)
    found = image_counts(dataset)
    assert found.shape == (25, 3)
    for index in range(25):
        semantic = np.asarray(Image.open(root / f"semantic/{dataset.name(index)}.png"))
        assert found[index].tolist() == [int((semantic == label).sum()) for label in range(3)]
    Watched.reads = 0
    assert class_counts(Watched("train", root), 0).tolist() == slow(root)
    some = np.array([2, 3, 11])
    assert np.array_equal(image_counts(Watched("train", root), some), found[some])
    assert Watched.reads == 0


def test_counts_of_some_images_are_not_those_of_others(root: Path) -> None:
    dataset = Watched("train", root)
    few, others = (image_counts(dataset, np.array(images)) for images in ([0, 1], [0, 2]))
    assert few.shape == others.shape == (2, 3)
    assert np.array_equal(few[0], others[0])
    assert not np.array_equal(few[1], others[1])
    assert Watched.reads == 4


def test_data_that_may_only_be_read_are_counted_each_time(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "replace", refuse)
    for _ in range(2):
        assert class_counts(Watched("train", root), 0).tolist() == slow(root)
    assert Watched.reads == 50
    assert not list(root.glob(".class_counts*"))


def test_another_folder_can_keep_them(root: Path, tmp_path: Path) -> None:
    class_counts(Watched("train", root), 0, folder=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert not list(root.glob(".class_counts*"))


def test_data_without_files_are_counted(tmp_path: Path) -> None:
    scenes = SyntheticScenes("train", length=4, size=(32, 32))
    assert class_counts(scenes, 0).sum() == 4 * 32 * 32 - sum(
        int((scenes.labels(index).semantic == 255).sum()) for index in range(4)
    )
