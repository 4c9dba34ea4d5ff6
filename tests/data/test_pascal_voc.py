from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy.io import loadmat
from torchvision.datasets import SBDataset, VOCSegmentation

from fusionseg.config.errors import UserError
from fusionseg.data.base import DataError, Labels, Split
from fusionseg.data.pascal_voc import PascalVOC

Scene = Callable[[Split, int], Labels]
CLASSES = {"sky": 0, "ground": 0, "disk": 15, "square": 7, "triangle": 12, "star": 20}
"""The classes of the scenes, in order, by the ids of VOC's: person, car, dog and tvmonitor."""


def partition(region: npt.NDArray[Any]) -> set[bytes]:
    """The pixels of each region, without their numbers."""
    return {(region == i).tobytes() for i in np.unique(region) if i}


def merged(labels: Labels) -> npt.NDArray[Any]:
    """The regions of a scene of which sky and ground are one."""
    return np.where(labels.region == 2, 1, labels.region)


@pytest.mark.parametrize("split", ["train", "val"])
def test_classes_and_objects_of_the_scenes_come_back(split: Split, voc: Path, scene: Scene) -> None:
    dataset = PascalVOC(split, voc)
    assert [dataset.name(i) for i in range(len(dataset))] == [f"{split}_{i}" for i in range(3)]
    for i in range(3):
        image, semantic, region, _ = dataset.read(i)
        expected = scene(split, i)
        assert (image == 60 + 50 * i).all()
        for label, voc_id in enumerate(CLASSES.values()):
            assert (semantic[expected.semantic == label] == voc_id).all()
        assert np.array_equal(semantic == 255, expected.semantic == 255)
        assert partition(region) == partition(merged(expected))


def test_the_background_is_void_on_request(voc: Path) -> None:
    with_background = PascalVOC("val", voc)
    without = PascalVOC("val", voc, background=False)
    semantic, region, _ = without.labels(0)
    assert not region[semantic == 0].any()
    assert np.array_equal(region[semantic > 0], with_background.labels(0).region[semantic > 0])
    assert with_background.classes.region == "one object, or the background"
    assert without.classes.region == "one object"
    assert without.sources() != with_background.sources()


def test_outlines_and_difficult_objects_are_void(voc: Path) -> None:
    top = voc / "VOCdevkit/VOC2012"
    classes, objects = np.zeros((2, 48, 64), np.uint8)
    classes[10:20, 10:20], objects[10:20, 10:20] = 255, 255
    classes[12:18, 12:18], objects[12:18, 12:18] = 15, 1
    classes[30:40, 30:40], objects[30:40, 30:40] = 255, 255
    for folder, ids in (("SegmentationClass", classes), ("SegmentationObject", objects)):
        Image.fromarray(ids).save(top / folder / "val_0.png")
    semantic, region, _ = PascalVOC("val", voc).labels(0)
    void = classes == 255
    assert np.array_equal(semantic == 255, void)
    assert np.array_equal(region == 0, void)
    assert len(np.unique(region[~void])) == 2


def test_colors_are_those_of_a_real_palette(data: Path) -> None:
    with Image.open(next((data / "voc_layout/VOC2012/SegmentationClass").iterdir())) as image:
        palette = iter(image.getpalette() or [])
    assert PascalVOC.classes.colors == tuple(zip(palette, palette, palette, strict=True))[:21]


def test_train_aug_is_all_of_sbd_and_of_vocs_training_list_without_its_validation_list(sbd: Path) -> None:
    dataset = PascalVOC("train", sbd, train_list="train_aug")
    names = [dataset.name(i) for i in range(len(dataset))]
    assert names == ["sbd_0", "sbd_1", "train_0", "train_1", "train_2"]
    assert [PascalVOC("val", sbd, train_list="train_aug").name(i) for i in range(3)] == [
        "val_0",
        "val_1",
        "val_2",
    ]
    assert str(dataset.download[-1]) == "benchmark.tgz: 2 of 9,118 further photos to train on"


def test_sbds_labels_come_back_and_vocs_own_are_preferred(sbd: Path, scene: Scene) -> None:
    dataset = PascalVOC("train", sbd, train_list="train_aug")
    for i in range(2):
        semantic, region, _ = dataset.labels(i)
        expected = scene("test", i)
        labeled = expected.semantic != 255
        ids = np.array(list(CLASSES.values()))[expected.semantic[labeled]]
        assert np.array_equal(semantic[labeled], ids)
        assert not semantic[~labeled].any(), "SBD has no void"
        assert partition(region) == partition(np.where(labeled, merged(expected), 1))
    plain = PascalVOC("train", sbd)
    for i in range(3):
        assert all(map(np.array_equal, dataset.labels(2 + i)[:2], plain.labels(i)[:2]))


def test_sbd_may_lie_elsewhere_and_may_be_the_folder_itself(sbd: Path, tmp_path: Path) -> None:
    (sbd / "benchmark_RELEASE").rename(sbd / "elsewhere")
    for folder in (sbd / "elsewhere", sbd / "elsewhere/dataset"):
        assert len(PascalVOC("train", sbd, train_list="train_aug", sbd=folder)) == 5
    with pytest.raises(DataError, match=r"not found: benchmark.tgz or .*benchmark_RELEASE/dataset/inst"):
        PascalVOC("train", sbd, train_list="train_aug")


def test_the_archives_of_both_downloads_are_read_as_the_folders(
    sbd: Path, packed: Callable[..., Path], tmp_path: Path
) -> None:
    root = tmp_path / "packed"
    packed(sbd, root / "VOCtrainval_11-May-2012.tar", "VOCdevkit")
    archive = packed(sbd, tmp_path / "elsewhere/benchmark.tgz", "benchmark_RELEASE")
    split: Split
    for split in ("train", "val"):
        unpacked = PascalVOC(split, sbd, train_list="train_aug")
        for other in (archive, archive.parent):
            found = PascalVOC(split, root, train_list="train_aug", sbd=other)
            assert [found.name(i) for i in range(len(found))] == [
                unpacked.name(i) for i in range(len(unpacked))
            ]
            for i in range(len(found)):
                assert all(map(np.array_equal, found.read(i)[:3], unpacked.read(i)[:3]))


def test_an_archive_of_sbd_that_is_cut_short_stops_only_those_who_need_it(voc: Path) -> None:
    (voc / "benchmark.tgz").write_bytes(b"cut short")
    assert len(PascalVOC("train", voc))
    assert len(PascalVOC("val", voc, train_list="train_aug"))
    with pytest.raises(UserError, match=r"found .* in .*benchmark.tgz: download it again"):
        PascalVOC("train", voc, train_list="train_aug")


def test_a_copy_of_sbd_without_objects_is_recognized(voc: Path) -> None:
    (voc / "VOCdevkit/VOC2012/SegmentationClassAug").mkdir()
    with pytest.raises(
        DataError,
        match=r"of benchmark.tgz, found .*SegmentationClassAug: those are classes that others converted",
    ):
        PascalVOC("train", voc, train_list="train_aug")


def test_seg11valid_is_read_where_the_user_has_it(sbd: Path) -> None:
    with pytest.raises(DataError, match=r"not found: .*seg11valid.txt \(the file is in shelhamer/fcn"):
        PascalVOC("val", sbd, val_list="seg11valid")
    (sbd / "VOCdevkit/VOC2012/ImageSets/Segmentation/seg11valid.txt").write_text("val_1\n")
    dataset = PascalVOC("val", sbd, val_list="seg11valid")
    assert [dataset.name(i) for i in range(len(dataset))] == ["val_1"]
    assert str(dataset.download[-1]) == "VOCtrainval_11-May-2012.tar: 1 of 736 names in seg11valid.txt"


@pytest.mark.parametrize("inner", ["VOCdevkit", "VOCdevkit/VOC2012"])
def test_the_folder_may_be_named_at_any_level(inner: str, voc: Path) -> None:
    assert len(PascalVOC("val", voc / inner)) == 3


def test_a_folder_too_deep_is_said(voc: Path) -> None:
    top = voc / "VOCdevkit/VOC2012"
    with pytest.raises(DataError, match=rf"found it in {top}: set root to that folder"):
        PascalVOC("val", top / "JPEGImages")


def test_the_year_of_another_challenge_is_said(voc: Path) -> None:
    (voc / "VOCdevkit/VOC2012").rename(voc / "VOCdevkit/VOC2007")
    with pytest.raises(
        DataError, match=r"of VOCtrainval_11-May-2012.tar, found VOCdevkit/VOC2007: that is VOC 2007"
    ):
        PascalVOC("val", voc)
    with pytest.raises(DataError, match="found VOC2007: that is VOC 2007"):
        PascalVOC("val", voc / "VOCdevkit/VOC2007")


@pytest.mark.parametrize("folder", ["JPEGImages", "SegmentationClass", "SegmentationObject"])
def test_half_a_download_is_said_with_its_archive(folder: str, voc: Path) -> None:
    for path in (voc / "VOCdevkit/VOC2012" / folder).glob("val_2.*"):
        path.unlink()
    message = rf"files of 3 names in .*val.txt, found 2 in .*{folder}, not val_2: all are in VOCtrainval_11"
    with pytest.raises(DataError, match=message):
        PascalVOC("val", voc)


def test_labels_as_colors_are_said_with_the_official_ones(voc: Path) -> None:
    path = voc / "VOCdevkit/VOC2012/SegmentationClass/val_0.png"
    with Image.open(path) as image:
        image.convert("RGB").save(path)
    with pytest.raises(
        DataError, match=r"mode RGB.*official one is in VOCtrainval_11-May-2012.tar, of palette"
    ):
        PascalVOC("val", voc).labels(0)


def test_maps_of_different_sizes_are_said(voc: Path) -> None:
    path = voc / "VOCdevkit/VOC2012/SegmentationObject/val_0.png"
    Image.fromarray(np.zeros((40, 64), np.uint8)).save(path)
    with pytest.raises(DataError, match=r"label maps of one size, found \(40, 64\) in .*Object.*\(48, 64\)"):
        PascalVOC("val", voc).labels(0)


def test_a_file_that_is_none_of_sbd_is_said(sbd: Path) -> None:
    (sbd / "benchmark_RELEASE/dataset/inst/sbd_0.mat").write_bytes(b"no matrix")
    with pytest.raises(DataError, match=r"label map GTinst.Segmentation in .*sbd_0.mat.*benchmark.tgz"):
        PascalVOC("train", sbd, train_list="train_aug").labels(0)


def test_real_files_in_vocs_layout_are_read_as_pillow_reads_them(data: Path, tmp_path: Path) -> None:
    top = tmp_path / "VOCdevkit/VOC2012"
    (top / "ImageSets/Segmentation").mkdir(parents=True)
    sample = data / "voc_layout/VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationObject"):
        (top / folder).symlink_to(sample / folder)
    names = sorted(path.stem for path in (sample / "JPEGImages").iterdir())
    (top / "ImageSets/Segmentation/train.txt").write_text("")
    (top / "ImageSets/Segmentation/val.txt").write_text("\n".join(names))
    dataset = PascalVOC("val", tmp_path)
    assert len(dataset) == 3
    objects = 0
    for i, name in enumerate(names):
        _, semantic, region, _ = dataset.read(i)
        assert np.array_equal(semantic, np.array(Image.open(sample / f"SegmentationClass/{name}.png")))
        ids = np.array(Image.open(sample / f"SegmentationObject/{name}.png"))
        inside = (semantic > 0) & (semantic < 255)
        assert partition(region[inside]) == partition(ids[inside])
        objects += len(np.unique(ids[inside]))
    assert objects > 8
    shown = {dataset.classes.names[i] for i in np.unique(semantic) if i < 255}
    assert shown == {"background", "bus", "car"}


def test_labels_are_those_that_torchvision_reads(sbd: Path) -> None:
    theirs = VOCSegmentation(sbd, year="2012", image_set="val")
    dataset = PascalVOC("val", sbd)
    assert len(theirs) == len(dataset)
    for i in range(len(dataset)):
        photo, ids = map(np.array, theirs[i])
        image, semantic, _, _ = dataset.read(i)
        assert np.array_equal(image, photo)
        assert np.array_equal(semantic, ids)
    further = SBDataset(sbd / "benchmark_RELEASE/dataset", image_set="train", mode="segmentation")
    place = [Path(file).stem for file in further.images].index("sbd_0")
    augmented = PascalVOC("train", sbd, train_list="train_aug")
    assert augmented.name(0) == "sbd_0"
    photo, ids = map(np.array, further[place])
    assert np.array_equal(augmented.read(0).image, photo)
    assert np.array_equal(augmented.labels(0).semantic, ids)


def test_real_files_of_sbd_have_the_categories_that_they_state(data: Path, voc: Path) -> None:
    dataset = PascalVOC("train", voc, train_list="train_aug", sbd=data / "sbd")
    assert [dataset.name(i) for i in range(2)] == ["2008_000051", "2008_000195"]
    for i in range(2):
        image, semantic, region, _ = dataset.read(i)
        stated = loadmat(data / f"sbd/benchmark_RELEASE/dataset/inst/{dataset.name(i)}.mat")["GTinst"]
        categories = stated["Categories"].item().ravel()
        assert image.shape[:2] == semantic.shape
        assert len(categories) == 5
        for number, category in enumerate(categories, 1):
            inside = region == number
            assert inside.any()
            assert (semantic[inside] == category).all()
        assert set(np.unique(region)) == {*range(1, 6), 255}
