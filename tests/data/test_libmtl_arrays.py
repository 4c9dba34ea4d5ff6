from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusionseg.data.base import DataError
from fusionseg.data.components import components
from fusionseg.data.libmtl_arrays import Copy, LibMTLArrays
from fusionseg.data.synthetic import SyntheticScenes

IDS = np.array([2, 4, 3, 6, 0, 5])
"""The class ids that the fixture has in place of those of synthetic scenes."""


@pytest.mark.parametrize("copy", ["nyuv2", "cityscapes7"])
def test_loading_gives_back_the_scenes(copy: Copy, libmtl: Path) -> None:
    for split in LibMTLArrays.splits:
        dataset = LibMTLArrays(split, libmtl / copy, copy)
        scenes = SyntheticScenes(split, 12, (48, 64), depth=True, normals=True)
        assert [dataset.name(i) for i in range(len(dataset))] == [f"{split}-{i}" for i in (0, 2, 10)]
        for index, number in enumerate((0, 2, 10)):
            found, scene = dataset.read(index), scenes.read(number)
            expected = IDS[scene.semantic]
            expected[-2:] = 255
            assert found.image.dtype == np.float32
            assert np.array_equal(np.rint(255 * found.image), scene.image)
            assert np.array_equal(found.semantic, expected)
            assert np.array_equal(found.region, components(expected))
            if copy == "nyuv2":
                assert np.array_equal(found.maps["depth"], scene.maps["depth"])
                np.testing.assert_allclose(found.maps["normals"], scene.maps["normals"], atol=1e-6)
            else:
                depth = scene.maps["depth"]
                np.testing.assert_allclose(
                    found.maps["disparity"][depth > 0], 1 / depth[depth > 0], rtol=1e-6
                )
                assert not found.maps["disparity"][depth == 0].any()


def test_an_archive_is_read_as_it_is(libmtl: Path, packed: Callable[..., Path], tmp_path: Path) -> None:
    archive = packed(libmtl, tmp_path / "nyuv2.zip", "nyuv2")
    found = LibMTLArrays("val", archive / "nyuv2", "nyuv2").read(2)
    expected = LibMTLArrays("val", libmtl / "nyuv2", "nyuv2").read(2)
    assert all(map(np.array_equal, found[:3], expected[:3]))
    assert all(np.array_equal(found.maps[kind], plane) for kind, plane in expected.maps.items())


@pytest.mark.parametrize("inside", ["nyuv2", ""])
def test_the_folder_of_the_archive_is_a_root(
    inside: str, libmtl: Path, packed: Callable[..., Path], tmp_path: Path
) -> None:
    parts = [inside] if inside else ["train", "val"]
    packed(libmtl if inside else libmtl / "nyuv2", tmp_path / "download/nyuv2.zip", *parts)
    found = LibMTLArrays("val", tmp_path / "download", "nyuv2")
    expected = LibMTLArrays("val", libmtl / "nyuv2", "nyuv2").read(2)
    assert all(map(np.array_equal, found.read(2)[:3], expected[:3]))


def test_of_several_archives_the_one_of_the_expected_size_is_read(
    libmtl: Path, packed: Callable[..., Path], tmp_path: Path
) -> None:
    np.save(libmtl / "cityscapes7/val/label/10.npy", np.full((48, 64), 18.0))
    for name in ("cityscapes", "cityscapes2"):
        packed(libmtl / "cityscapes7", tmp_path / f"download/{name}.zip", "val")
    root = tmp_path / "download"
    assert "cityscapes2.zip" in str(LibMTLArrays("val", root, "cityscapes7").photo(0))
    assert "cityscapes.zip" in str(LibMTLArrays("val", root, "cityscapes19").photo(0))
    with pytest.raises(
        DataError, match=r"512 x 256 pixels, as in cityscapes.zip, found 64 x 48 in .*/cityscapes.zip"
    ):
        LibMTLArrays("val", root, "cityscapes7", expected_size=(256, 512))


def test_a_copy_in_another_size_is_told_and_refused_where_another_one_is_expected(libmtl: Path) -> None:
    root = libmtl / "cityscapes7"
    (size,) = LibMTLArrays("val", root, "cityscapes7").notices
    assert size.endswith(
        "64 x 48, where the official photos have 256 x 128 or 512 x 256; scores do not compare "
        "with those on the official files"
    )
    for i in (0, 2, 10):
        np.save(root / f"val/image/{i}.npy", np.zeros((256, 512, 3)))
    assert not LibMTLArrays("val", root, "cityscapes7").notices
    with pytest.raises(
        DataError,
        match=r"256 x 128 pixels, as in cityscapes2.zip, found 512 x 256 in .*image/0.npy: take that copy, or set",
    ):
        LibMTLArrays("val", root, "cityscapes7", expected_size=(128, 256))


def test_normals_have_the_length_of_the_files(libmtl: Path) -> None:
    path = libmtl / "nyuv2/val/normal/2.npy"
    np.save(path, 0.4 * np.load(path))
    dataset = LibMTLArrays("val", libmtl / "nyuv2", "nyuv2")
    assert np.array_equal(dataset.labels(1).maps["normals"], np.load(path).astype(np.float32))


def test_copies_differ_in_classes_and_kinds(libmtl: Path) -> None:
    np.save(libmtl / "cityscapes7/val/label/10.npy", np.full((48, 64), 18.0))
    found = {}
    for copy in ("nyuv2", "cityscapes7", "cityscapes19"):
        folder = "cityscapes7" if copy == "cityscapes19" else copy
        dataset = LibMTLArrays("val", libmtl / folder, copy)  # type: ignore[arg-type]
        found[copy] = (len(dataset.classes), dataset.classes.file_ids[-1], dataset.kinds)
    assert found == {
        "nyuv2": (13, 12, ("depth", "normals")),
        "cityscapes7": (7, 6, ("disparity",)),
        "cityscapes19": (19, 18, ("disparity",)),
    }


def test_labels_are_those_of_the_number_of_classes(libmtl: Path) -> None:
    root = libmtl / "cityscapes7"
    for split in ("train", "val"):
        (root / split / "label_19").mkdir()
        for i in (0, 2, 10):
            np.save(root / split / f"label_19/{i}.npy", np.full((48, 64), 18.0))
    assert (LibMTLArrays("val", root, "cityscapes19").labels(2).semantic == 18).all()
    assert (LibMTLArrays("val", root, "cityscapes7").labels(2).semantic != 18).all()


def test_labels_of_7_classes_are_not_taken_for_those_of_19(libmtl: Path) -> None:
    root = libmtl / "cityscapes7"
    with pytest.raises(
        DataError, match=r"19 classes in .*train/label, found none above 6 .*copy to cityscapes7"
    ):
        LibMTLArrays("train", root, "cityscapes19")
    for i in (0, 2, 10):
        np.save(root / f"train/label/{i}.npy", np.full((48, 64), -1.0))
    assert (LibMTLArrays("train", root, "cityscapes19").labels(0).semantic == 255).all()


@pytest.mark.parametrize(
    ("copy", "files", "message"),
    [
        ("cityscapes7", "nyuv2", "found normals, which only NYUv2 has: set copy to nyuv2"),
        ("nyuv2", "cityscapes7", "found no folder normal: .*set copy to cityscapes7 or cityscapes19"),
    ],
)
def test_the_copy_of_the_other_data_set_is_named(copy: Copy, files: str, message: str, libmtl: Path) -> None:
    with pytest.raises(DataError, match=message):
        LibMTLArrays("train", libmtl / files, copy)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((48, 64), 13), r"ids 0\.\.12, or -1 for void, found 13 in .*label/0.npy: mind the number"),
        (np.full((48, 64), 0.5), r"found 0.5 in .*label/0.npy"),
        (np.full((48, 64), np.nan), r"found nan in .*label/0.npy"),
        (np.full((48, 64), 255), r"found 255 in .*label/0.npy"),
        (np.zeros((48, 64, 3)), r"class ids \(H, W\) in .*label/0.npy, found float64 \(48, 64, 3\)"),
        (np.zeros((48, 60)), r"maps of one size, found \(48, 60\) in .*label/0.npy, \(48, 64\) in .*depth"),
    ],
)
def test_labels_of_another_encoding_are_named(values: Any, message: str, libmtl: Path) -> None:
    np.save(libmtl / "nyuv2/train/label/0.npy", values)
    with pytest.raises(DataError, match=message):
        LibMTLArrays("train", libmtl / "nyuv2", "nyuv2").read(0)


def test_nothing_is_unpickled(libmtl: Path) -> None:
    np.save(libmtl / "nyuv2/train/label/0.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"label/0.npy"):
        LibMTLArrays("train", libmtl / "nyuv2", "nyuv2").labels(0)


def test_normals_are_turned_as_is_said_and_refused_where_they_point_away(libmtl: Path) -> None:
    expected = LibMTLArrays("train", libmtl / "nyuv2", "nyuv2").labels(0).maps["normals"]
    for file in libmtl.glob("nyuv2/train/normal/*.npy"):
        np.save(file, np.load(file) * [1, -1, -1])
    dataset = LibMTLArrays("train", libmtl / "nyuv2", "nyuv2", normal_signs=(1, -1, -1))
    assert np.array_equal(dataset.labels(0).maps["normals"], expected)
    with pytest.raises(ValueError, match=r"in .*normal/0.npy .*set normal_signs"):
        LibMTLArrays("train", libmtl / "nyuv2", "nyuv2").labels(0)
    with pytest.raises(ValueError, match="normal_signs of 1 and -1"):
        LibMTLArrays("train", libmtl / "nyuv2", "nyuv2", normal_signs=(1, 0, 1))


def test_what_is_missing_is_named(libmtl: Path) -> None:
    root = libmtl / "nyuv2"
    (root / "val/depth/2.npy").unlink()
    with pytest.raises(DataError, match=r"no labels in .*val/depth for 2"):
        LibMTLArrays("val", root, "nyuv2")
    (root / "train/depth").rename(root / "train/depths")
    with pytest.raises(DataError, match=r"not found: .*train/depth; expected this layout"):
        LibMTLArrays("train", root, "nyuv2")


def test_another_level_of_the_layout_is_named(libmtl: Path) -> None:
    with pytest.raises(DataError, match=rf"found them in {libmtl / 'nyuv2'}: set root"):
        LibMTLArrays("train", libmtl / "nyuv2/train", "nyuv2")


def test_numbers_may_be_padded_with_zeros(libmtl: Path) -> None:
    for file in libmtl.glob("nyuv2/val/*/*.npy"):
        file.rename(file.with_stem(file.stem.zfill(2) if file.stem != "10" else "010"))
    dataset = LibMTLArrays("val", libmtl / "nyuv2", "nyuv2")
    assert [dataset.name(i) for i in range(3)] == ["val-00", "val-02", "val-010"]
    assert np.array_equal(
        dataset.read(2).image, np.load(libmtl / "nyuv2/val/image/010.npy").astype(np.float32)
    )


def test_arrays_that_are_not_numbered_are_named(libmtl: Path) -> None:
    for part in ("image", "label", "depth", "normal"):
        (libmtl / f"nyuv2/val/{part}/2.npy").rename(libmtl / f"nyuv2/val/{part}/three.npy")
    with pytest.raises(DataError, match=r"arrays 0.npy, 1.npy \.\.\. in .*image, found three"):
        LibMTLArrays("val", libmtl / "nyuv2", "nyuv2")
