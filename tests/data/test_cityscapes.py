from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from fusionseg.data.base import DataError
from fusionseg.data.cityscapes import Cityscapes
from fusionseg.data.photo_notices import photo_notices
from fusionseg.data.synthetic import SyntheticScenes

SCENES = SyntheticScenes("train", 3, (64, 128), depth=True)
CLASS = {19: (10, 0, 13, 11, 18, 14), 7: (4, 0, 6, 5, 6, 6)}
"""The classes that the fixture's label ids (sky, road, car, person, bicycle and truck) belong to."""
FRAME = "train/aachen/aachen_000000_000019"


def rewritten(file: Path, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> None:
    """Changes the pixels of a file."""
    with Image.open(file) as image:
        pixels = np.array(image)
    Image.fromarray(change(pixels)).save(file)


@pytest.mark.parametrize("number", [19, 7])
def test_loading_gives_back_the_scenes(number: Any, cityscapes: Path) -> None:
    for split, scenes in (("train", (0, 1)), ("val", (2,))):
        dataset = Cityscapes(split, cityscapes, number, disparity=True)  # type: ignore[arg-type]
        assert len(dataset) == len(scenes)
        for index, scene in enumerate(map(SCENES.read, scenes)):
            found, truth = dataset.read(index), dataset.truth(index)
            void = np.arange(64)[:, None] >= 61
            crowd = (scene.region == scene.region.max()) & ~void
            assert np.array_equal(found.image, scene.image)
            assert np.array_equal(
                found.semantic, np.where(void, 255, np.array(CLASS[number])[scene.semantic])
            )
            assert np.array_equal(found.region > 0, ~(void | crowd))
            pairs = np.unique(np.stack([found.region, scene.region])[:, found.region > 0], axis=1)
            assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
            assert truth.crowd is not None
            assert np.array_equal(truth.crowd, np.where(crowd, found.semantic, 255))
            disparity, depth = found.maps["disparity"], scene.maps["depth"]
            assert np.array_equal(disparity > 0, depth > 0)
            assert np.abs(disparity - 20 / depth.clip(0.1))[depth > 0].max() <= 1 / 512 + 1e-5


def test_the_archives_are_read_as_they_are(
    cityscapes: Path, packed: Callable[..., Path], tmp_path: Path
) -> None:
    unpacked = Cityscapes("train", cityscapes, disparity=True)
    for part in ("leftImg8bit", "gtFine", "disparity"):
        packed(cityscapes, tmp_path / f"download/{part}_trainvaltest.zip", part)
    dataset = Cityscapes("train", tmp_path / "download", disparity=True)
    assert [dataset.name(i) for i in range(2)] == [unpacked.name(i) for i in range(2)]
    assert dataset.group(1) == "ulm"
    found, expected = dataset.read(1), unpacked.read(1)
    assert all(map(np.array_equal, found[:3], expected[:3]))
    assert np.array_equal(found.maps["disparity"], expected.maps["disparity"])
    (tmp_path / "download/disparity_trainvaltest.zip").write_bytes(b"PK\3\4 cut short")
    assert len(Cityscapes("train", tmp_path / "download")) == 2
    (tmp_path / "download/gtFine_trainvaltest.zip").unlink()
    with pytest.raises(DataError, match=r"not found: .*gtFine/train, of gtFine_trainvaltest.zip"):
        Cityscapes("train", tmp_path / "download")


def test_archives_in_a_folder_of_an_unpacked_copy_are_read(
    cityscapes: Path, packed: Callable[..., Path]
) -> None:
    for part in ("leftImg8bit", "gtFine"):
        packed(cityscapes, cityscapes / f"download/{part}_trainvaltest.zip", part)
    photo = Cityscapes("train", cityscapes / "download").photo(0)
    assert "download/leftImg8bit_trainvaltest.zip" in str(photo)


def test_another_level_in_an_archive_is_named(
    cityscapes: Path, packed: Callable[..., Path], tmp_path: Path
) -> None:
    file = packed(cityscapes.parent, tmp_path / "all.zip", cityscapes.name)
    for given in (file, file / cityscapes.name / "gtFine"):
        with pytest.raises(DataError, match=rf"found them in {file / cityscapes.name}: set root to that"):
            Cityscapes("train", given)


def test_values_of_disparity_are_pixels_times_256_plus_one_and_0_is_invalid(cityscapes: Path) -> None:
    file = cityscapes / f"disparity/{FRAME}_disparity.png"
    rewritten(file, lambda p: (np.arange(p.size) % 65536).reshape(p.shape).astype(np.uint16))
    found = Cityscapes("train", cityscapes, disparity=True).labels(0).maps["disparity"].ravel()
    assert found[[0, 1, 2, 257, 6401]].tolist() == [0, 0, 1 / 256, 1, 25]


def test_stuff_is_a_region_for_each_class_and_ids_of_things_are_kept(cityscapes: Path) -> None:
    file = cityscapes / f"gtFine/{FRAME}_gtFine_instanceIds.png"
    ids = np.repeat([7, 9, 10, 11, 24, 24000, 24999, 29, 29003, 33001, 0, 4], 8)

    def changed(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        values[0, : ids.size] = ids
        return values

    rewritten(file, changed)
    fine, coarse = (Cityscapes("train", cityscapes, number).truth(0) for number in (19, 7))  # type: ignore[arg-type]
    first = slice(0, ids.size, 8)
    assert fine.semantic[0, first].tolist() == [0, 255, 255, 2, 11, 11, 11, 255, 255, 18, 255, 255]
    assert fine.region[0, first].tolist() == [1, 0, 0, 3, 0, 24000, 24999, 0, 0, 33001, 0, 0]
    assert np.flatnonzero(fine.crowd[0, first] != 255).tolist() == [4]  # type: ignore[index]
    assert coarse.semantic[0, first].tolist() == [0, 0, 0, 1, 5, 5, 5, 6, 6, 6, 255, 255]
    assert coarse.region[0, first].tolist() == [1, 1, 1, 2, 0, 24000, 24999, 0, 29003, 33001, 0, 0]
    assert np.flatnonzero(coarse.crowd[0, first] != 255).tolist() == [4, 7]  # type: ignore[index]


def test_images_are_named_as_officially_and_grouped_by_cities(cityscapes: Path) -> None:
    dataset = Cityscapes("train", cityscapes)
    assert [dataset.name(i) for i in range(2)] == ["aachen_000000_000019", "ulm_000001_000019"]
    assert [dataset.group(i) for i in range(2)] == ["aachen", "ulm"]
    for part in ("leftImg8bit", "gtFine"):
        for file in cityscapes.glob(f"{part}/train/ulm/*"):
            file.rename(cityscapes / part / "train" / file.name)
    assert Cityscapes("train", cityscapes).group(1) == "ulm"
    assert list(map(str, dataset.download)) == [
        "leftImg8bit_trainvaltest.zip: 2 of 2,975 photos of train",
        "gtFine_trainvaltest.zip: 2 of 2,975 label files of train",
    ]


def test_disparity_is_unverified(cityscapes: Path) -> None:
    assert "disparity" not in Cityscapes("train", cityscapes).verified
    assert (
        "with disparity only on files that tests write"
        in Cityscapes("train", cityscapes, disparity=True).verified
    )


def test_a_real_frame_has_the_classes_of_its_train_ids_and_a_line_says_its_size(data: Path) -> None:
    root = data / "cityscapes_sample"
    dataset = Cityscapes("val", root)
    name = "frankfurt_000000_000294"
    folder = root / "gtFine/val/frankfurt"
    labels = dataset.labels(0)
    assert (len(dataset), dataset.name(0), dataset.group(0)) == (1, name, "frankfurt")
    with Image.open(folder / f"{name}_gtFine_labelTrainIds.png") as image:
        # it was shrunk by itself, so that pixels at borders differ
        assert (labels.semantic != np.array(image)).mean() < 0.003
    with Image.open(folder / f"{name}_gtFine_instanceIds.png") as image:
        values = np.array(image)
    things = (values >= 1000) & (labels.semantic != 255)
    assert things.any()
    assert np.array_equal(labels.region[things], values[things])
    assert set(np.unique(labels.region[~things])) <= set(range(12))
    assert dataset.read(0).image.shape == (128, 256, 3)
    assert any("a copy of Cityscapes in another size: 256 x 128" in line for line in photo_notices(dataset))


def test_the_dummies_of_the_test_split_are_refused(cityscapes: Path) -> None:
    with pytest.raises(DataError, match="test split are not public, and gtFine/test holds dummies") as caught:
        Cityscapes("test", cityscapes)
    assert "\n" not in str(caught.value)


def test_colors_in_place_of_ids_are_named(cityscapes: Path) -> None:
    file = cityscapes / f"gtFine/{FRAME}_gtFine_instanceIds.png"
    rewritten(file, lambda ids: np.dstack([ids.astype(np.uint8)] * 3))
    with pytest.raises(DataError, match=rf"in {file}, found colors, as in \*_gtFine_color.png"):
        Cityscapes("train", cityscapes).labels(0)


@pytest.mark.parametrize("instances", [False, True])
def test_train_ids_in_place_of_ids_are_named(instances: bool, cityscapes: Path) -> None:
    file = cityscapes / f"gtFine/{FRAME}_gtFine_instanceIds.png"
    trained = np.full((64, 128), 13000 if instances else 13, np.uint16)
    trained[:9] = 255
    rewritten(file, lambda _: trained)
    with pytest.raises(DataError, match=rf"in {file}, found \[255.*\(train ids, as in \*_labelTrainIds"):
        Cityscapes("train", cityscapes).labels(0)


@pytest.mark.parametrize("value", [34, 999, 7001, 34000, 65535])
def test_values_of_no_official_file_are_named(value: int, cityscapes: Path) -> None:
    file = cityscapes / f"gtFine/{FRAME}_gtFine_instanceIds.png"
    rewritten(file, lambda ids: np.full_like(ids, value))
    with pytest.raises(DataError, match=rf"0\.\.33 or 1000 \* id .* in {file}, found \[{value}\]: take"):
        Cityscapes("train", cityscapes).labels(0)


@pytest.mark.parametrize("place", ["leftImg8bit", "gtFine/train", ".."])
def test_another_level_of_the_layout_is_named(place: str, cityscapes: Path) -> None:
    given = cityscapes / place if place != ".." else cityscapes.parent
    with pytest.raises(DataError, match=rf"found them in {cityscapes}: set root to that folder$"):
        Cityscapes("train", given)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("gtFine", r"not found: .*gtFine/train, of gtFine_trainvaltest.zip"),
        ("leftImg8bit", r"not found: .*leftImg8bit/train, of leftImg8bit_trainvaltest.zip"),
        ("disparity", r"not found: .*disparity/train, of disparity_trainvaltest.zip"),
        (f"gtFine/{FRAME}_gtFine_instanceIds.png", r"in gtFine/: aachen_0.*instanceIds.png: unpack gtFine_"),
        (f"leftImg8bit/{FRAME}_leftImg8bit.png", r"in leftImg8bit/: aachen_0.*8bit.png: unpack leftImg8bit_"),
        (f"disparity/{FRAME}_disparity.png", r"in disparity/: aachen_0.*disparity.png: unpack disparity_"),
    ],
)
def test_what_is_missing_of_the_download_is_named(lost: str, message: str, cityscapes: Path) -> None:
    (cityscapes / lost).rename(cityscapes / "elsewhere")
    with pytest.raises(DataError, match=message):
        Cityscapes("train", cityscapes, disparity=True)


def test_a_copy_with_other_label_files_alone_is_named(cityscapes: Path) -> None:
    for file in cityscapes.glob("gtFine/train/*/*_instanceIds.png"):
        file.unlink()
    with pytest.raises(DataError, match=r"files \*_gtFine_instanceIds.png .*found _color, _labelIds: unpack"):
        Cityscapes("train", cityscapes)


def test_the_copy_in_arrays_is_known_by_name(tmp_path: Path) -> None:
    (tmp_path / "train/image").mkdir(parents=True)
    with pytest.raises(
        DataError, match=r"the copy in .npy arrays of MTAN and LibMTL, which .* LibMTLArrays reads"
    ):
        Cityscapes("train", tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p[:, :100], r"labels' size 128 x 64, found 100 x 64 in .*_disparity.png"),
        (lambda p: (p // 256).astype(np.uint8), r"disparity of 16 bits, found 8 in .*_disparity.png"),
    ],
)
def test_disparity_of_another_encoding_is_refused(change: Any, message: str, cityscapes: Path) -> None:
    rewritten(cityscapes / f"disparity/{FRAME}_disparity.png", change)
    with pytest.raises(DataError, match=message):
        Cityscapes("train", cityscapes, disparity=True).labels(0)


def test_there_are_19_or_7_classes(cityscapes: Path) -> None:
    with pytest.raises(ValueError, match="of 19 or 7, found 8"):
        Cityscapes("train", cityscapes, 8)  # type: ignore[arg-type]


def test_a_size_makes_a_data_set_of_its_own_whose_disparity_is_in_pixels_of_its_width(
    cityscapes: Path,
) -> None:
    whole, tiny = (Cityscapes("train", cityscapes, disparity=True, size=size) for size in (None, (16, 32)))
    for index in range(2):
        full, pixels, truth = whole.read(index), tiny.read(index), tiny.truth(index)
        # every fourth pixel of blocks of 4 x 4, whose middle is between the second and the third
        rows, columns = np.arange(16) * 4 + 2, np.arange(32) * 4 + 2
        assert np.array_equal(pixels.semantic, full.semantic[np.ix_(rows, columns)])
        assert np.array_equal(pixels.region, full.region[np.ix_(rows, columns)])
        assert np.array_equal(pixels.maps["disparity"], full.maps["disparity"][np.ix_(rows, columns)] / 4)
        means = full.image.reshape(16, 4, 32, 4, 3).mean((1, 3))
        assert np.abs(pixels.image - means).max() <= 0.5 + 1e-6
        for found in (tiny.labels(index), truth):
            assert np.array_equal(found.semantic, pixels.semantic)
            assert np.array_equal(found.region, pixels.region)
            assert np.array_equal(found.maps["disparity"], pixels.maps["disparity"])
        assert truth.crowd is not None
        crowd = whole.truth(index).crowd
        assert crowd is not None
        assert np.array_equal(truth.crowd, crowd[np.ix_(rows, columns)])
    assert (tiny.image_size(0), whole.image_size(0)) == ((16, 32), (64, 128))
    assert tiny.units == {"disparity": "pixels of 32 columns"}
    assert tiny.sources() != whole.sources()
    with pytest.raises(ValueError, match="expected a size of at least 1 x 1 pixel, found 0 x 32"):
        Cityscapes("train", cityscapes, size=(0, 32))
