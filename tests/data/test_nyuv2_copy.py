from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionseg.data.base import DataError, Pixels, Split
from fusionseg.data.components import components
from fusionseg.data.nyuv2_copy import NYUv2Copy

KINDS = ("NYUD_MT", "NYUDv2", "toolkit")
SPLITS: tuple[Split, ...] = ("train", "val")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", SPLITS)
def test_reading_gives_back_the_scenes(
    kind: str, split: Split, nyu_copy: Callable[[str], Path], pixel_scenes: list[Pixels]
) -> None:
    dataset = NYUv2Copy(split, nyu_copy(kind), normals=True)
    numbers = [i for i in range(len(pixel_scenes)) if (i in (2, 5)) == (split == "val")]
    assert len(dataset) == len(numbers)
    for index, number in enumerate(numbers):
        scene = pixel_scenes[number]
        image, semantic, region, maps = dataset.read(index)
        void = scene.semantic == 255
        assert np.array_equal(image, scene.image)
        assert np.array_equal(semantic, np.where(void, 255, scene.semantic + 27 * (kind == "toolkit")))
        assert np.array_equal(region, components(semantic))
        depth, normals = scene.maps["depth"], scene.maps["normals"]
        if kind == "toolkit":
            assert np.abs(maps["depth"] - depth).max() < 0.00051
        else:
            assert np.array_equal(maps["depth"], depth)
        assert np.abs(maps["normals"] - normals).max() < (1e-6 if kind == "NYUD_MT" else 0.008)
        assert np.array_equal(maps["normals"].any(2), normals.any(2))
        known = maps["normals"][normals.any(2)]
        assert np.allclose(np.linalg.norm(known, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(("kind", "name"), [("NYUD_MT", "NYUD_MT.tgz"), ("NYUDv2", "NYUDv2.tar.gz")])
def test_the_download_is_read_without_unpacking(
    kind: str, name: str, nyu_copy: Callable[[str], Path], packed: Callable[..., Path], tmp_path: Path
) -> None:
    top = nyu_copy(kind)
    (tmp_path / "all").mkdir()
    plain = NYUv2Copy("val", top.rename(tmp_path / "all" / kind), normals=True)
    archive = packed(tmp_path / "all", tmp_path / "download" / name)
    for root in (archive, archive.parent, tmp_path / "all"):
        dataset = NYUv2Copy("val", root, normals=True)
        assert dataset.names == plain.names
        pixels, expected = dataset.read(1), plain.read(1)
        assert all(np.array_equal(one, other) for one, other in zip(pixels[:3], expected[:3], strict=True))
        assert all(np.array_equal(pixels.maps[key], expected.maps[key]) for key in ("depth", "normals"))
    assert [part[1:4] for part in dataset.download] == [("images of val", 2, 654)]


def test_the_toolkit_has_thirteen_classes_too(
    nyu_copy: Callable[[str], Path], pixel_scenes: list[Pixels]
) -> None:
    dataset = NYUv2Copy("val", nyu_copy("toolkit"), num_classes=13, depth=False)
    assert np.array_equal(dataset.labels(0).semantic, pixel_scenes[2].semantic)
    assert (len(dataset.classes), dataset.kinds) == (13, ())
    with pytest.raises(DataError, match=r"num_classes: 40 for .*, which is NYUD_MT.*, found 13"):
        NYUv2Copy("val", nyu_copy("NYUD_MT"), num_classes=13)


def test_small_components_belong_to_no_region_on_request(nyu_copy: Callable[[str], Path]) -> None:
    root = nyu_copy("NYUD_MT")
    region = NYUv2Copy("val", root, min_area=200).labels(0).region
    assert np.bincount(region.ravel())[1:].min() >= 200
    assert len(np.unique(region)) < len(np.unique(NYUv2Copy("val", root).labels(0).region))


@pytest.mark.parametrize("kind", ["NYUD_MT", "NYUDv2"])
def test_normals_along_other_axes_are_refused_and_can_be_turned(
    kind: str, nyu_copy: Callable[[str], Path], pixel_scenes: list[Pixels]
) -> None:
    root = nyu_copy(kind)
    for i, scene in enumerate(pixel_scenes):
        normals = scene.maps["normals"] * np.float32([1, -1, -1])
        if kind == "NYUD_MT":
            np.save(root / "normals" / f"{i:04d}.npy", normals)
        else:
            colors = np.rint((normals + 1) * 127.5).astype(np.uint8)
            Image.fromarray(colors).save(root / "normals" / f"{i:04d}.png")
    with pytest.raises(DataError, match=r"normals towards the camera in .*0002.*: set normal_signs"):
        NYUv2Copy("val", root, normals=True).labels(0)
    turned = NYUv2Copy("val", root, normals=True, normal_signs=(1, -1, -1)).labels(0).maps["normals"]
    assert np.abs(turned - pixel_scenes[2].maps["normals"]).max() < 0.008
    with pytest.raises(ValueError, match=r"normal_signs of 1 and -1, found \(1, 0, 1\)"):
        NYUv2Copy("val", root, normal_signs=(1, 0, 1))


def test_what_is_missing_is_named(nyu_copy: Callable[[str], Path], tmp_path: Path) -> None:
    root = nyu_copy("NYUD_MT")
    (root / "depth" / "0003.npy").unlink()
    with pytest.raises(DataError, match=r"found no depth in .*/depth for 0003"):
        NYUv2Copy("train", root)
    NYUv2Copy("train", root, depth=False)
    for path in (root / "normals").iterdir():
        path.unlink()
    (root / "normals").rmdir()
    with pytest.raises(
        DataError, match=r"expected normals of NYUD_MT .* in .*/normals, found no such folder"
    ):
        NYUv2Copy("train", root, depth=False, normals=True)
    (root / "gt_sets" / "val.txt").write_text("")
    with pytest.raises(DataError, match=r"images to val on in .*, found none"):
        NYUv2Copy("val", root)
    (root / "gt_sets" / "val.txt").unlink()
    with pytest.raises(DataError, match=r"not found: .*val\.txt; expected this layout"):
        NYUv2Copy("val", root)
    with pytest.raises(DataError, match=r"not found: .*/gt_sets, .*/images, .*/segmentation; expected"):
        NYUv2Copy("val", tmp_path / "nowhere")
    (tmp_path / "official").mkdir()
    (tmp_path / "official" / "nyu_depth_v2_labeled.mat").touch()
    with pytest.raises(DataError, match=r"the official nyu_depth_v2_labeled\.mat: read it with NYUv2"):
        NYUv2Copy("val", tmp_path / "official")


def test_labels_that_do_not_fit_are_named(nyu_copy: Callable[[str], Path]) -> None:
    root = nyu_copy("NYUDv2")
    labels = np.full((48, 64), 41, np.uint8)
    Image.fromarray(labels).save(root / "segmentation" / "0002.png")
    dataset = NYUv2Copy("val", root)
    with pytest.raises(DataError, match=r"class ids 1\.\.40, or 0 for void, found 41 in .*0002\.png"):
        dataset.labels(0)
    Image.fromarray(np.where(labels == 41, 255, labels).astype(np.uint8)).save(
        root / "segmentation" / "0002.png"
    )
    with pytest.raises(DataError, match=r"found 255 in .*0002\.png \(does this copy count from 0, with 255"):
        dataset.labels(0)
    Image.fromarray(labels[:40] - 1).save(root / "segmentation" / "0002.png")
    with pytest.raises(
        DataError, match=r"maps of one size, found \(40, 64\) in .*, \(48, 64\) in .*0002\.npy"
    ):
        dataset.labels(0)
