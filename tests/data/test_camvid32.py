from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fusionseg.data.base import DataError, Split
from fusionseg.data.camvid32 import CamVid32
from fusionseg.data.components import components
from fusionseg.data.photo_notices import photo_notices
from fusionseg.data.synthetic import SyntheticScenes

NAMES = ("Sky", "Road", "Car", "Pedestrian", "Bicyclist", "Truck_Bus")
"""The classes that the fixture has in place of those of synthetic scenes."""


@pytest.mark.parametrize(("split", "number"), [("train", 4), ("val", 2), ("test", 2)])
def test_loading_gives_back_the_scenes(split: Split, number: int, camvid32: Path) -> None:
    dataset = CamVid32(split, camvid32, min_area=5)
    scenes = SyntheticScenes(split, number, (48, 64))
    ids = np.array([dataset.classes.names.index(name) for name in NAMES])
    assert len(dataset) == number
    for index in range(number):
        image, semantic, *_ = scenes.read(index)
        found = dataset.read(index)
        expected = ids[semantic]
        expected[-1] = 255
        assert np.array_equal(found.image, image)
        assert np.array_equal(found.semantic, expected)
        assert np.array_equal(found.region, components(expected, 5))


def test_there_are_31_classes_besides_void_of_different_colors() -> None:
    classes = CamVid32.classes
    assert len(classes) == len(set(classes.colors)) == 31
    assert [classes.names[i] for i in classes.things[:3]] == ["Animal", "Bicyclist", "Car"]


def test_frames_belong_to_sequences(camvid32: Path) -> None:
    dataset = CamVid32("test", camvid32)
    assert [dataset.name(i) for i in range(2)] == ["0001TP_008550", "Seq05VD_f00000"]
    assert [dataset.group(i) for i in range(2)] == ["0001TP", "Seq05VD"]


def test_another_size_than_the_official_one_is_told(camvid32: Path) -> None:
    line, *shortfalls = photo_notices(CamVid32("val", camvid32))
    assert len(shortfalls) == 2
    assert "a copy of CamVid in another size: 64 x 48, where the official photos have 960 x 720" in line


@pytest.mark.parametrize("folders", ["both", "photos"])
def test_the_archives_of_the_download_are_read_as_they_are(
    folders: str, camvid32: Path, packed: Callable[..., Path], tmp_path: Path
) -> None:
    root = tmp_path / "download"
    packed(camvid32, root / "701_StillsRaw_full.zip", "701_StillsRaw_full")
    if folders == "both":
        packed(camvid32, root / "LabeledApproved_full.zip", "LabeledApproved_full")
    else:
        packed(camvid32 / "LabeledApproved_full", root / "LabeledApproved_full.zip")
    expected, found = CamVid32("test", camvid32), CamVid32("test", root)
    assert found.names == expected.names
    for index in range(len(expected)):
        assert all(map(np.array_equal, found.read(index)[:3], expected.read(index)[:3]))


def test_the_copy_of_kaggle_is_named(camvid32: Path) -> None:
    (camvid32 / "class_dict.csv").write_text("name,r,g,b\n")
    with pytest.raises(
        DataError, match=r"found class_dict.csv: this is Kaggle's copy, .* into these two folders"
    ):
        CamVid32("val", camvid32)


@pytest.mark.parametrize(
    ("color", "message"),
    [
        ((64, 0, 129), r"found \(64, 0, 129\)$"),
        ((3, 3, 3), r"found \(3, 3, 3\) \(class ids, as in SegNet's copy"),
    ],
)
def test_an_unknown_color_is_named_with_its_file(color: Any, message: str, camvid32: Path) -> None:
    file = camvid32 / "LabeledApproved_full/0016E5_07959_L.png"
    Image.fromarray(np.full((48, 64, 3), color, np.uint8)).save(file)
    with pytest.raises(DataError, match=rf"the colors of label_colors.txt in {file}, {message}"):
        CamVid32("val", camvid32).labels(0)


@pytest.mark.parametrize("line", ["64 128 65\tAnimal", "64 128 64\tMammal", "Animal"])
def test_a_file_of_other_colors_is_refused(line: str, camvid32: Path) -> None:
    (camvid32 / "label_colors.txt").write_text(f"0 0 0 Void\n{line}\n")
    with pytest.raises(DataError, match=r"name of an official class, found .* in .*label_colors.txt"):
        CamVid32("val", camvid32)


def test_what_is_missing_is_named(camvid32: Path) -> None:
    (camvid32 / "LabeledApproved_full/0016E5_07959_L.png").unlink()
    with pytest.raises(DataError, match=r"no labels in .*LabeledApproved_full for 0016E5_07959"):
        CamVid32("val", camvid32)
    (camvid32 / "LabeledApproved_full").rename(camvid32 / "labels")
    with pytest.raises(DataError, match=r"not found: .*LabeledApproved_full; expected this layout"):
        CamVid32("val", camvid32)


def test_another_level_of_the_layout_is_named(camvid32: Path) -> None:
    with pytest.raises(DataError, match=rf"found them in {camvid32}: set root"):
        CamVid32("val", camvid32 / "LabeledApproved_full")


def test_frames_of_other_data_are_named(camvid32: Path) -> None:
    for name in ("701_StillsRaw_full/other.png", "LabeledApproved_full/other_L.png"):
        Image.new("RGB", (64, 48)).save(camvid32 / name)
    with pytest.raises(DataError, match=r"sequences 0001TP, 0006R0, 0016E5, Seq05VD, found other in"):
        CamVid32("val", camvid32)


def test_a_split_without_frames_is_refused(camvid32: Path) -> None:
    for file in camvid32.glob("*/0016E5_0[78][91]*"):
        if "08190" not in file.name and "07920" not in file.name:
            file.unlink()
    with pytest.raises(DataError, match=r"no frames to val on among 6 in .*: unpack all sequences"):
        CamVid32("val", camvid32)
