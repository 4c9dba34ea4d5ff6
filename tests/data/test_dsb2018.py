from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionseg.data.base import DataError, Split
from fusionseg.data.dsb2018 import DSB2018
from fusionseg.data.folds import dealt
from fusionseg.data.photo_notices import photo_notices

SPLITS: tuple[Split, ...] = ("train", "val", "test")
Masks = dict[str, list[tuple[int, int, int, int]]]


@pytest.fixture
def dsb(tmp_path: Path) -> Callable[..., Path]:
    """Writes the official layout: RGBA photos, and masks of nuclei as boxes (top, left, bottom, right)."""

    def written(number: int = 7, boxes: list[tuple[int, int, int, int]] | None = None) -> Path:
        for i in range(number):
            folder = tmp_path / "stage1_train" / f"image{i}"
            for part in ("images", "masks"):
                (folder / part).mkdir(parents=True)
            photo = np.full((20, 30, 4), (10 * i, 20, 30, 255), np.uint8)
            Image.fromarray(photo).save(folder / "images" / f"image{i}.png")
            for k, (top, left, bottom, right) in enumerate(boxes or [(2, 3, 8, 9), (2, 9, 8, 15)]):
                mask = np.zeros((20, 30), np.uint8)
                mask[top:bottom, left:right] = 255
                Image.fromarray(mask).save(folder / "masks" / f"mask{k}.png")
        (tmp_path / "stage1_train" / ".DS_Store").touch()
        (tmp_path / "stage1_train" / "image0" / "masks" / "Thumbs.db").touch()
        return tmp_path

    return written


def test_every_nucleus_is_a_region_and_the_background_is_one_more(dsb: Callable[..., Path]) -> None:
    image, semantic, region, _ = DSB2018("test", dsb()).read(0)
    assert image.shape == (20, 30, 3)
    assert image[0, 0, 1:].tolist() == [20, 30]
    expected = np.full((20, 30), 3)
    expected[2:8, 3:9], expected[2:8, 9:15] = 1, 2
    assert np.array_equal(region, expected)
    assert np.array_equal(semantic, expected < 3)


@pytest.mark.parametrize(("photo", "mask"), [(".TIF", ".npy"), (".bmp", ".tiff"), (".PNG", ".Png")])
def test_photos_and_masks_may_be_of_any_format_and_case_of_suffix(
    photo: str, mask: str, dsb: Callable[..., Path]
) -> None:
    root = dsb()
    image, *labels = DSB2018("test", root).read(0)
    for path in [*root.glob("*/*/images/*.png"), *root.glob("*/*/masks/*.png")]:
        with Image.open(path) as opened:
            stored = opened.convert("RGB") if path.parent.name == "images" else opened.copy()
        path.unlink()
        renamed = path.with_suffix(photo if path.parent.name == "images" else mask)
        np.save(renamed, np.array(stored)) if renamed.suffix == ".npy" else stored.save(renamed)
    found = DSB2018("test", root)
    assert (found.photo(0).suffix, found.masks[0][0].suffix) == (photo, mask)
    assert np.array_equal(found.read(0).image, image)
    for one, other in zip(found.labels(0)[:2], labels[:2], strict=True):
        assert np.array_equal(one, other)


def test_the_background_may_be_void(dsb: Callable[..., Path]) -> None:
    root = dsb()
    dataset, whole = DSB2018("test", root, background=False), DSB2018("test", root)
    labels = dataset.labels(0)
    assert np.array_equal(labels.region > 0, labels.semantic == 1)
    assert np.array_equal(labels.semantic, whole.labels(0).semantic)
    assert dataset.classes.region == "one nucleus"
    assert not dataset.classes.differences(whole.classes)
    assert dataset.sources() != whole.sources()


def test_a_pixel_in_several_masks_is_nucleus_and_its_region_void(dsb: Callable[..., Path]) -> None:
    semantic, region, _ = DSB2018("val", dsb(boxes=[(2, 3, 8, 9), (2, 7, 8, 15), (10, 3, 12, 9)])).labels(0)
    assert (semantic[2:8, 3:15] == 1).all()
    assert (region[2:8, 3:7] == 1).all()
    assert (region[2:8, 7:9] == 0).all()
    assert (region[2:8, 9:15] == 2).all()
    assert (region == 0).sum() == 12


def test_images_are_dealt_into_folds(dsb: Callable[..., Path]) -> None:
    root = dsb(13)
    for fold in range(5):
        for split in SPLITS:
            names = dealt([f"image{i}" for i in range(13)], split, fold, root)
            assert DSB2018(split, root, fold).names == names


def test_folds_of_half_a_download_are_said_to_be_others(dsb: Callable[..., Path]) -> None:
    lines = list(photo_notices(DSB2018("train", dsb())))
    assert lines == [
        "stage1_train.zip: 7 of 670 images, so that the folds are not those of all images: unpack or download it "
        "again, unless you want a part of it"
    ]


def test_what_macos_adds_is_no_image(dsb: Callable[..., Path]) -> None:
    root = dsb()
    expected = DSB2018("train", root).names
    (root / "stage1_train/__MACOSX").mkdir()
    assert DSB2018("train", root).names == expected


def test_missing_files_are_named(dsb: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere/stage1_train; expected this layout \(set root") as caught:
        DSB2018("val", tmp_path / "nowhere")
    assert "BBBC038" in str(caught.value)
    top = dsb() / "stage1_train"
    name = DSB2018("test", tmp_path).name(0)
    for mask in (top / name / "masks").glob("*.png"):
        mask.unlink()
    (top / name / "masks" / "Thumbs.db").unlink(missing_ok=True)
    with pytest.raises(DataError, match=rf"a mask for each nucleus, found none in .*/{name}/masks"):
        DSB2018("test", tmp_path)
    (top / name / "masks").rmdir()
    with pytest.raises(DataError, match=rf"not found: .*/{name}/masks; expected this layout"):
        DSB2018("test", tmp_path)
    (top / name / "images" / f"{name}.png").rename(top / name / "images" / "other.png")
    with pytest.raises(DataError, match=rf"not found: .*/{name}/images/{name}.png, .*/{name}/masks;"):
        DSB2018("test", tmp_path)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            np.full((30, 20), 255),
            r"masks of one size, found \(20, 30\) in .*mask0.png, \(30, 20\) in .*mask1.png",
        ),
        (np.arange(600).reshape(20, 30) % 3, r"two values, 0 and 255, found \[0, 1, 2\] in .*mask1.png"),
    ],
)
def test_a_mask_that_is_none_is_named(mask: np.ndarray, message: str, dsb: Callable[..., Path]) -> None:
    dataset = DSB2018("test", dsb())
    Image.fromarray(mask.astype(np.uint8)).save(dataset.masks[0][1])
    with pytest.raises(DataError, match=message):
        dataset.labels(0)


def test_a_photo_of_another_size_is_named(dsb: Callable[..., Path]) -> None:
    dataset = DSB2018("test", dsb())
    Image.fromarray(np.zeros((20, 31, 4), np.uint8)).save(dataset.photo(0))
    with pytest.raises(DataError, match=r"size 31 x 20 \(.*\), found 30 x 20 in .*mask0.png"):
        dataset.read(0)


def test_the_copy_has_the_nuclei_of_its_description(data: Path) -> None:
    sizes = []
    nuclei = []
    shares = []
    touching = 0
    for split in SPLITS:
        dataset = DSB2018(split, data / "dsb2018")
        sizes.append(len(dataset))
        for i in range(len(dataset)):
            semantic, region, _ = dataset.labels(i)
            assert not (region == 0).any()
            assert np.array_equal(region == region.max(), semantic == 0)
            nuclei.append(len(np.unique(region)) - 1)
            shares.append(semantic.mean())
            within = semantic[:, 1:] & semantic[:, :-1], semantic[1:] & semantic[:-1]
            differs = region[:, 1:] != region[:, :-1], region[1:] != region[:-1]
            touching += any((w & d).any() for w, d in zip(within, differs, strict=True))
    assert sizes == [18, 6, 6]
    assert (sum(nuclei), min(nuclei), max(nuclei)) == (777, 6, 84)
    assert np.mean(shares) == pytest.approx(0.116, abs=0.0005)
    assert touching == 23
