import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy import ndimage

from fusionseg.config.errors import UserError
from fusionseg.data.ade20k import ADE20K
from fusionseg.data.base import DataError, Labels, Split
from fusionseg.sample import OFFSET, Truth

Scene = Callable[[Split, int], Labels]
IDS = np.array([3, 14, 13, 21, 5, 150])
"""The ids in the files of the scenes' classes, of which 13, 21 and 150 have instances."""
THINGS = (12, 20, 149)


def partition(region: npt.NDArray[Any]) -> set[bytes]:
    """The pixels of each region, without their numbers."""
    return {(region == i).tobytes() for i in np.unique(region) if i}


def classes_of(scene: Labels) -> npt.NDArray[Any]:
    """The class ids of a scene that was written with `IDS`."""
    table = np.full(256, 255)
    table[:6] = IDS - 1
    return table[scene.semantic]


@pytest.mark.parametrize("split", ["train", "val"])
def test_classes_of_the_scenes_come_back_and_regions_are_their_components(
    split: Split, ade20k: Path, scene: Scene
) -> None:
    dataset = ADE20K(split, ade20k, min_area=1)
    assert dataset.classes.things == ()
    for i in range(3):
        image, semantic, region, _ = dataset.read(i)
        assert (image == 60 + 50 * i).all()
        assert np.array_equal(semantic, classes_of(scene(split, i)))
        expected = set()
        for label in np.unique(semantic[semantic < 255]):
            expected |= partition(ndimage.label(semantic == label)[0])
        assert partition(region) == expected


@pytest.mark.parametrize("split", ["train", "val"])
def test_instances_of_the_scenes_come_back_and_stuff_is_one_region_for_each_class(
    split: Split, ade20k: Path, scene: Scene
) -> None:
    dataset = ADE20K(split, ade20k, instances=True)
    assert dataset.classes.things == THINGS
    for i in range(3):
        semantic, region, _ = dataset.labels(i)
        expected = scene(split, i)
        assert np.array_equal(semantic, classes_of(expected))
        stuff = np.isin(expected.semantic, (0, 1, 4))
        assert partition(region) == partition(
            np.where(stuff, 1000 + expected.semantic.astype(int), expected.region)
        )


def panoptic_of_mask2former(semantic: Any, instances: Any, mapping: dict[int, int]) -> npt.NDArray[np.int64]:
    """The segments that `prepare_ade20k_pan_seg.py` makes, as class * OFFSET + number, in a plain loop."""
    panoptic = np.full(semantic.shape, -1)
    for y, x in np.ndindex(*semantic.shape):
        label = int(semantic[y, x]) - 1
        if label >= 0 and label + 1 not in mapping.values():
            panoptic[y, x] = label * OFFSET
        if number := int(instances[y, x, 1]):
            panoptic[y, x] = (mapping[int(instances[y, x, 0])] - 1) * OFFSET + number
    return panoptic


def test_the_panoptic_map_is_that_of_mask2formers_preparation_where_both_labels_overlap(ade20k: Path) -> None:
    rng = np.random.default_rng(0)
    semantic = rng.choice(np.array([0, 3, 13, 14, 21], np.uint8), (48, 64))
    number = rng.integers(0, 4, (48, 64))
    category = np.array([0, 4, 9, 4])[number]
    instances = np.dstack([category, number, rng.integers(0, 255, (48, 64))]).astype(np.uint8)
    Image.fromarray(semantic).save(
        ade20k / "ADEChallengeData2016/annotations/validation/ADE_val_00000001.png"
    )
    Image.fromarray(instances).save(ade20k / "annotations_instance/validation/ADE_val_00000001.png")
    dataset = ADE20K("val", ade20k, instances=True)
    truth: Truth = dataset.truth(0)
    expected = panoptic_of_mask2former(semantic, instances, {4: 13, 9: 21, 100: 150})
    assert np.array_equal(truth.panoptic(dataset.classes.things), expected)
    alone = (semantic == 13) & (number == 0)
    assert (truth.semantic[alone] == 12).all(), "a thing without an instance keeps its class"


def test_instances_and_mapping_may_lie_beside_the_photos(ade20k: Path) -> None:
    expected = ADE20K("val", ade20k, instances=True).labels(0)
    top = ade20k / "ADEChallengeData2016"
    for name in ("annotations_instance", "ade20k_instance_catid_mapping.txt"):
        (ade20k / name).rename(top / name)
    for root in (ade20k, top):
        found = ADE20K("val", root, instances=True).labels(0)
        assert all(map(np.array_equal, found[:2], expected[:2]))


@pytest.mark.parametrize("inner", ["", "ADEChallengeData2016/"])
def test_the_archives_are_read_as_the_folders(
    inner: str, ade20k: Path, packed: Callable[..., Path], tmp_path: Path
) -> None:
    root = tmp_path / "packed"
    packed(ade20k, root / "ADEChallengeData2016.zip", "ADEChallengeData2016")
    packed(ade20k, root / f"{inner}annotations_instance.tar", "annotations_instance")
    shutil.copy(ade20k / "ade20k_instance_catid_mapping.txt", root / inner)
    for instances in (False, True):
        unpacked, found = (ADE20K("val", top, instances=instances) for top in (ade20k, root))
        assert found.classes == unpacked.classes
        assert len(found) == 3
        for i in range(3):
            assert all(map(np.array_equal, found.read(i)[:3], unpacked.read(i)[:3]))


def test_an_archive_of_instances_that_is_cut_short_stops_only_those_who_need_it(ade20k: Path) -> None:
    (ade20k / "annotations_instance.tar").write_bytes(b"cut short")
    assert len(ADE20K("val", ade20k))
    with pytest.raises(UserError, match=r"found .* in .*annotations_instance.tar: download it again"):
        ADE20K("val", ade20k, instances=True)


def test_classes_are_those_of_the_official_table(ade20k: Path) -> None:
    classes = ADE20K("val", ade20k).classes
    assert classes.names == tuple(f"name {i}" for i in range(1, 151))
    assert classes.file_ids == tuple(range(1, 151))
    table = ade20k / "ADEChallengeData2016/objectInfo150.txt"
    table.write_text(table.read_text().replace("17\t", "18\t"))
    with pytest.raises(DataError, match=r"columns Idx, 1..150, and Name in .*objectInfo150.txt"):
        ADE20K("val", ade20k)
    table.unlink()
    with pytest.raises(DataError, match=r"not found: .*objectInfo150.txt"):
        ADE20K("val", ade20k)


def test_what_instances_need_is_named(ade20k: Path) -> None:
    mapping = ade20k / "ade20k_instance_catid_mapping.txt"
    mapping.write_text("title\n4 13\n")
    with pytest.raises(
        DataError, match=r"an id of the full ADE20K in each line of .*mapping.txt, found '4 13'"
    ):
        ADE20K("val", ade20k, instances=True)
    mapping.unlink()
    with pytest.raises(
        DataError, match=r"not found: .*mapping.txt.*take it from facebookresearch/Mask2Former"
    ):
        ADE20K("val", ade20k, instances=True)
    assert len(ADE20K("val", ade20k)) == 3


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "images/validation/ADE_val_00000002.jpg",
            r"no images for the labels ADE_val_00000002 in .*annotations",
        ),
        ("annotations/validation/ADE_val_00000002.png", r"no labels in .*annotations.* for ADE_val_00000002"),
    ],
)
def test_half_a_download_is_said(path: str, message: str, ade20k: Path) -> None:
    (ade20k / "ADEChallengeData2016" / path).unlink()
    with pytest.raises(DataError, match=message):
        ADE20K("val", ade20k)


def test_half_of_the_instances_are_said(ade20k: Path) -> None:
    (ade20k / "annotations_instance/validation/ADE_val_00000003.png").unlink()
    with pytest.raises(DataError, match=r"no labels in .*annotations_instance.* for ADE_val_00000003"):
        ADE20K("val", ade20k, instances=True)


@pytest.mark.parametrize("copy", ["ADE20K_2021_17_01", "ADE20K_2016_07_26", "release_test"])
def test_what_else_is_called_ade20k_is_recognized(copy: str, ade20k: Path) -> None:
    (ade20k / "ADEChallengeData2016").rename(ade20k / copy)
    (ade20k / copy / "annotations").rename(ade20k / copy / "labels")
    for root in (ade20k, ade20k / copy):
        with pytest.raises(DataError, match=rf"of ADEChallengeData2016.zip, found {copy}: "):
            ADE20K("val", root)


def test_labels_that_are_made_for_detectron2_are_recognized(ade20k: Path) -> None:
    top = ade20k / "ADEChallengeData2016"
    (top / "annotations").rename(top / "annotations_detectron2")
    with pytest.raises(DataError, match=r"found .*annotations_detectron2: .*ids that are one less"):
        ADE20K("val", ade20k)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((48, 64, 3), np.uint8), "mode RGB.*official one is in ADEChallengeData2016.zip"),
        (np.full((48, 64), 255, np.uint8), "found 255..255: 255 is void in annotations_detectron2"),
        (np.full((48, 64), 151, np.uint8), r"expected 0 or ids 1..150 in .*, found 151..151$"),
    ],
)
def test_labels_in_another_encoding_are_said(
    values: npt.NDArray[np.uint8], message: str, ade20k: Path
) -> None:
    path = ade20k / "ADEChallengeData2016/annotations/validation/ADE_val_00000001.png"
    Image.fromarray(values).save(path)
    with pytest.raises(DataError, match=message):
        ADE20K("val", ade20k).labels(0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((48, 64), np.uint8), r"found a file of mode L: take that of annotations_instance.tar"),
        (
            np.full((48, 64, 3), (7, 1, 0), np.uint8),
            "expected one category of .*mapping.txt for each instance",
        ),
        (np.zeros((40, 64, 3), np.uint8), r"label maps of one size, found \(40, 64\) in .*instance"),
    ],
)
def test_instances_in_another_encoding_are_said(
    values: npt.NDArray[np.uint8], message: str, ade20k: Path
) -> None:
    Image.fromarray(values).save(ade20k / "annotations_instance/validation/ADE_val_00000001.png")
    with pytest.raises(DataError, match=message):
        ADE20K("val", ade20k, instances=True).labels(0)


def test_an_instance_of_two_categories_is_refused(ade20k: Path) -> None:
    values = np.full((48, 64, 3), (4, 1, 0), np.uint8)
    values[20:] = 9, 1, 0
    Image.fromarray(values).save(ade20k / "annotations_instance/validation/ADE_val_00000001.png")
    with pytest.raises(DataError, match="expected one category"):
        ADE20K("val", ade20k, instances=True).labels(0)


def test_real_labels_are_read_as_pillow_reads_them(data: Path) -> None:
    dataset = ADE20K("val", data / "ade20k")
    top = data / "ade20k/ADEChallengeData2016"
    assert [dataset.name(i) for i in range(len(dataset))] == [f"ADE_val_{i:08d}" for i in (1, 2, 3)]
    with (top / "objectInfo150.csv").open() as table:
        names = [row["Name"].replace(";", " ") for row in csv.DictReader(table)]
    assert dataset.classes.names == tuple(names)
    for i in range(3):
        image, semantic, region, _ = dataset.read(i)
        ids = np.array(Image.open(top / f"annotations/validation/{dataset.name(i)}.png")).astype(int)
        assert image.shape[:2] == ids.shape
        assert np.array_equal(np.where(semantic == 255, 0, semantic.astype(int) + 1), ids)
        assert 3 < len(np.unique(region)) < 100
    assert "ADEChallengeData2016.zip: 3 of 2,000 photos of val" in map(str, dataset.download)
