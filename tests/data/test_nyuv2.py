import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from torch.utils.data import DataLoader

from fusionseg.config.errors import UsageError, UserError
from fusionseg.data.base import UNVERIFIED, DataError, Pixels, Split
from fusionseg.data.nyuv2 import NYUv2
from fusionseg.data.samples import EvaluationSamples
from fusionseg.data.subset import drawn
from fusionseg.sample import VOID

h5py = pytest.importorskip("h5py")

NUMBERS: dict[Split, list[int]] = {"train": [1, 2, 4, 5, 7], "val": [3, 6]}
CLASSES = np.full(256, VOID)
"""The class of 40 of each class of the synthetic scenes, by the fake's mapping."""
CLASSES[:6] = (21, 11, 5, 19, 14, 1)


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two maps hold the same regions under other numbers, and 0 at the same places."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]).astype(int), axis=1)
    counts = {len(np.unique(one)), len(np.unique(other)), pairs.shape[1]}
    return len(counts) == 1 and np.array_equal(one == 0, other == 0)


@pytest.mark.parametrize("split", ["train", "val"])
def test_reading_gives_back_the_scenes(nyu: Path, pixel_scenes: list[Pixels], split: Split) -> None:
    dataset = NYUv2(split, nyu, depth="raw")
    assert [dataset.name(i) for i in range(len(dataset))] == [f"{n:05d}" for n in NUMBERS[split]]
    for index, number in enumerate(NUMBERS[split]):
        scene = pixel_scenes[number - 1]
        image, semantic, region, maps = dataset.read(index)
        assert np.array_equal(image, scene.image)
        assert np.array_equal(semantic, CLASSES[scene.semantic])
        assert same_partition(region, scene.region)
        assert (region == 0).any()
        assert list(maps) == ["depth"]
        assert np.array_equal(maps["depth"], scene.maps["depth"])
        assert (maps["depth"] == 0).any()


def test_inspect_is_told_what_is_there(nyu: Path) -> None:
    dataset = NYUv2("train", nyu, num_classes=13)
    assert list(map(str, dataset.download)) == ["nyu_depth_v2_labeled.mat: 7 of 1,449 images"]
    (line,) = dataset.notices
    assert "nyu_depth_v2_labeled.mat is of a copy of NYUv2 in another size: 64 x 48, where" in line
    assert dataset.verified == UNVERIFIED


def test_depth_may_be_filled_or_left_out(nyu: Path, pixel_scenes: list[Pixels]) -> None:
    filled = NYUv2("val", nyu).labels(0).maps["depth"]
    assert np.array_equal(filled, pixel_scenes[2].maps["depth"] + np.float32(1))
    without = NYUv2("val", nyu, depth="none")
    assert (without.kinds, dict(without.read(0).maps)) == ((), {})
    assert without.sources() != NYUv2("val", nyu).sources()


def test_thirteen_classes_are_those_of_the_forty(nyu: Path, pixel_scenes: list[Pixels]) -> None:
    dataset = NYUv2("val", nyu, num_classes=13)
    of_13 = loadmat(nyu / "class13Mapping.mat")["classMapping13"][0][0][0][0]
    expected = np.full(256, VOID)
    expected[:6] = [of_13[c] - 1 for c in CLASSES[:6]]
    assert len(dataset.classes) == 13
    assert np.array_equal(dataset.labels(1).semantic, expected[pixel_scenes[5].semantic])
    assert np.array_equal(dataset.labels(1).region, NYUv2("val", nyu).labels(1).region)


def test_images_are_grouped_by_scenes(nyu: Path) -> None:
    dataset = NYUv2("train", nyu)
    assert [dataset.group(i) for i in range(5)] == [f"kitchen_{(n - 1) // 2:04d}" for n in NUMBERS["train"]]


def test_scenes_are_held_out_on_request(nyu: Path) -> None:
    parts = {split: NYUv2(split, nyu, val_scenes=0.5) for split in ("train", "val", "test")}
    assert parts["test"].numbers == NUMBERS["val"]
    assert sorted(parts["train"].numbers + parts["val"].numbers) == NUMBERS["train"]
    groups = [{part.group(i) for i in range(len(part))} for part in (parts["train"], parts["val"])]
    assert not groups[0] & groups[1]
    assert groups[1] == {f"kitchen_{i:04d}" for i in range(4) if drawn(f"kitchen_{i:04d}") < 0.5}
    with pytest.raises(DataError, match="the official test images are the split val: set val_scenes"):
        NYUv2("test", nyu)
    with pytest.raises(DataError, match="scenes to val on for val_scenes 1e-09, found none"):
        NYUv2("val", nyu, val_scenes=1e-9)
    with pytest.raises(ValueError, match=r"val_scenes in \[0, 1\), found 1"):
        NYUv2("val", nyu, val_scenes=1)


def test_workers_and_copies_read_with_handles_of_their_own(nyu: Path) -> None:
    dataset = NYUv2("train", nyu)
    images = [dataset.read(i).image for i in range(len(dataset))]
    copied = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(copied.read(1).image, images[1])
    loader = DataLoader(EvaluationSamples(dataset), num_workers=2, batch_size=None)
    for sample, expected in zip(loader, images, strict=True):
        assert np.array_equal(sample["image"].permute(1, 2, 0), expected)


def test_missing_files_and_a_missing_library_are_named(nyu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (nyu / "class13Mapping.mat").unlink()
    NYUv2("train", nyu)
    with pytest.raises(DataError, match=r"not found: .*class13Mapping\.mat; expected this layout"):
        NYUv2("train", nyu, num_classes=13)
    with pytest.raises(DataError, match=r"not found: .*nyu_depth_v2_labeled\.mat, .*splits\.mat, .*40\.mat"):
        NYUv2("train", nyu / "elsewhere")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UsageError, match=r'take h5py: pip install "fusionseg\[nyu\]"'):
        NYUv2("train", nyu)


def test_a_file_that_was_cut_short_is_named(nyu: Path) -> None:
    path = nyu / "nyu_depth_v2_labeled.mat"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"labeled\.mat is no complete HDF5 file .*: download it again"):
        NYUv2("train", nyu)
    savemat(path, {"images": np.zeros((2, 3))})
    with pytest.raises(UserError, match=r"labeled\.mat is no complete HDF5 file"):
        NYUv2("train", nyu)


def test_arrays_that_are_not_the_official_ones_are_named(nyu: Path) -> None:
    path = nyu / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "r+") as file:
        del file["rawDepths"]
        images = file["images"][:]
    with pytest.raises(DataError, match="found no rawDepths"):
        NYUv2("train", nyu, depth="raw")
    with h5py.File(path, "r+") as file:
        del file["images"]
        file["images"] = images[:5]
    with pytest.raises(
        DataError, match=r"with axes in reverse.*found images \(5, 3, 64, 48\), labels \(7, 64"
    ):
        NYUv2("train", nyu)
    with h5py.File(path, "r+") as file:
        del file["images"]
        file["images"] = images.transpose(0, 3, 2, 1)
    with pytest.raises(
        DataError, match=r"with axes in reverse.*found images \(7, 48, 64, 3\).*converted copy"
    ):
        NYUv2("train", nyu)


def test_labels_and_numbers_beyond_the_official_ones_are_named(nyu: Path) -> None:
    with h5py.File(nyu / "nyu_depth_v2_labeled.mat", "r+") as file:
        file["labels"][2, 5, 6] = 895
    with pytest.raises(DataError, match=r"labels 0\.\.894 of image 00003 in .*, found 895"):
        NYUv2("val", nyu).labels(0)
    numbers = {"trainNdxs": np.array([[1], [8]]), "testNdxs": np.array([[0]])}
    savemat(nyu / "splits.mat", numbers)
    with pytest.raises(DataError, match=r"image 8 of splits\.mat in .*, found 7 images"):
        NYUv2("train", nyu)
    with pytest.raises(DataError, match=r"numbers of images from 1 as testNdxs in .*splits\.mat"):
        NYUv2("val", nyu)


def test_another_copy_is_named(nyu: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    for name in ("gt_sets", "images", "segmentation"):
        (folder / name).mkdir(parents=True)
    with pytest.raises(DataError, match=r"copy holds NYUD_MT .*: read it with NYUv2Copy"):
        NYUv2("train", folder)
    shutil.rmtree(folder)
    for name in ("images/train", "annotations/train"):
        (folder / name).mkdir(parents=True)
    with pytest.raises(DataError, match="mmsegmentation's copy `nyu`: it has depth alone"):
        NYUv2("train", folder)
