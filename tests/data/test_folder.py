from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionseg.data.base import DataError
from fusionseg.data.folder import Folder

Writer = Callable[..., Path]


def names(dataset: Folder) -> list[str]:
    return [dataset.name(i) for i in range(len(dataset))]


def test_classes_and_the_region_are_those_of_the_file(folder: Writer) -> None:
    classes = Folder("train", folder()).classes
    assert classes.names == ("sky", "cell")
    assert classes.colors[0] == (1, 2, 3)
    assert classes.things == (1,)
    assert classes.region == "one nucleus"


def test_both_label_maps_are_read(folder: Writer) -> None:
    _, semantic, region, _ = Folder("train", folder()).read(0)
    assert (semantic[:10] == 0).all()
    assert (semantic[19] == 255).all()
    assert np.unique(region).tolist() == [0, 1, 2, 300]


def test_without_regions_they_are_components(folder: Writer) -> None:
    region = Folder("train", folder(regions=False)).labels(0).region
    assert np.unique(region).tolist() == [0, 1, 2]
    assert np.unique(Folder("train", folder(regions=False), min_area=290).labels(0).region).tolist() == [0, 1]


def test_without_classes_all_are_void(folder: Writer) -> None:
    semantic, region, _ = Folder("train", folder(semantic=False)).labels(0)
    assert (semantic == 255).all()
    assert region.any()


def test_images_without_any_labels_are_refused(folder: Writer) -> None:
    with pytest.raises(DataError, match=r"not found: .*semantic, .*regions; expected this layout"):
        Folder("train", folder(semantic=False, regions=False))


def test_drawn_splits_share_no_image_and_stay(folder: Writer) -> None:
    root = folder()
    splits = {s: names(Folder(s, root, 0.2, 0.3)) for s in Folder.splits}
    assert [len(splits[s]) for s in Folder.splits] == [5, 2, 3]
    assert sorted(name for split in splits.values() for name in split) == list("abcdefghij")
    assert names(Folder("val", root, 0.2, 0.3)) == splits["val"]


def test_an_empty_split_is_refused(folder: Writer) -> None:
    with pytest.raises(DataError, match=r"write test.txt or set test_fraction above 0"):
        Folder("test", folder())


def test_lists_decide_the_split(folder: Writer) -> None:
    root = folder()
    (root / "train.txt").write_text("c\na\n\n")
    (root / "val.txt").write_text("b\n")
    assert names(Folder("train", root)) == ["c", "a"]
    assert names(Folder("val", root)) == ["b"]


def test_an_image_in_two_lists_is_refused(folder: Writer) -> None:
    root = folder()
    (root / "train.txt").write_text("c\na\n")
    (root / "test.txt").write_text("a\n")
    with pytest.raises(DataError, match=r"found a in train.txt and test.txt"):
        Folder("train", root)


def test_an_unknown_name_in_a_list_is_refused(folder: Writer) -> None:
    root = folder()
    (root / "train.txt").write_text("c\na.png\n")
    with pytest.raises(DataError, match=r"without suffix in .*train.txt, found a.png"):
        Folder("train", root)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("semantic/a.png", "no labels in .*semantic for a"),
        ("regions/a.png", "no labels in .*regions for a"),
        ("images/a.png", "no images for the labels a in .*semantic"),
        ("classes.yaml", "not found: .*classes.yaml; expected this layout"),
    ],
)
def test_a_missing_file_is_named(folder: Writer, file: str, message: str) -> None:
    root = folder()
    (root / file).unlink()
    with pytest.raises(DataError, match=message):
        Folder("train", root)


def test_a_missing_root_is_refused_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere/images.*expected this layout"):
        Folder("train", tmp_path / "nowhere")


def test_two_images_of_one_name_are_refused(folder: Writer) -> None:
    root = folder()
    Image.new("RGB", (30, 20)).save(root / "images/a.jpg")
    with pytest.raises(DataError, match=r"one file named a in .*, found a.jpg and a.png"):
        Folder("train", root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: []", "1 to 255 classes"),
        ("klasses: 3", "KeyError"),
        ("a: [", "expected classes as below"),
        ("classes: [{name: a, color: [1, 2, 300]}]", r"in 0..255, found \[1, 2, 300\]"),
        ("classes: [{name: a}, {name: b}]\nvoid: 1", r"void id in 2..255, .* found 1"),
        ("classes: [{name: a}, {name: b}]\nchannels: 1", "at least 3 channels"),
    ],
)
def test_foreign_class_files_are_refused(folder: Writer, text: str, message: str) -> None:
    root = folder()
    (root / "classes.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        Folder("train", root)


@pytest.mark.parametrize(
    "text", ["[" * 3000, "classes: [{name: a, color: [.inf, 0, 0]}]", "classes: [{name: a}]\nvoid: .inf"]
)
def test_class_files_that_break_a_reader_are_refused(folder: Writer, text: str) -> None:
    root = folder()
    (root / "classes.yaml").write_text(text)
    with pytest.raises(DataError, match=f"found something else in {root}/classes.yaml"):
        Folder("train", root)


def test_a_list_that_is_no_text_is_named(folder: Writer) -> None:
    root = folder()
    (root / "train.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=f"one name in a line .UTF-8. in {root}/train.txt"):
        Folder("train", root)


def test_label_maps_of_two_sizes_are_refused(folder: Writer) -> None:
    root = folder("a")
    Image.fromarray(np.ones((9, 30), np.uint8)).save(root / "regions/a.png")
    with pytest.raises(DataError, match=r"label maps of one size, found \(9, 30\) in"):
        Folder("train", root, val_fraction=0.0).read(0)


def test_a_label_map_of_regions_alone_has_the_size_of_the_image(folder: Writer) -> None:
    root = folder("a", semantic=False)
    Image.fromarray(np.ones((9, 30), np.uint8)).save(root / "regions/a.png")
    with pytest.raises(DataError, match=r"found 30 x 9 in .*regions/a.png"):
        Folder("train", root, val_fraction=0.0).read(0)


def four(root: Path, suffix: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    (root / "images/a.png").unlink()
    with (root / "classes.yaml").open("a") as file:
        file.write("channels: 4\n")
    if suffix == "npy":
        np.save(root / "images/a.npy", image)
    else:
        Image.fromarray(image, "RGBA").save(root / f"images/a.{suffix}")
    return image


@pytest.mark.parametrize("suffix", ["png", "tiff", "npy"])
def test_four_channels_are_read_as_they_are(folder: Writer, suffix: str) -> None:
    root = folder("a")
    image = four(root, suffix)
    dataset = Folder("train", root, val_fraction=0.0)
    assert dataset.channels == 4
    assert np.array_equal(dataset.read(0).image, image)


@pytest.mark.parametrize("suffix", ["png", "tiff", "npy"])
def test_a_truncated_image_is_named(folder: Writer, suffix: str) -> None:
    root = folder("a")
    four(root, suffix)
    file = root / f"images/a.{suffix}"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(ValueError, match=f"{file} is no complete image file"):
        Folder("train", root, val_fraction=0.0).read(0)


def test_other_channels_than_declared_are_refused(folder: Writer) -> None:
    root = folder("a")
    with (root / "classes.yaml").open("a") as file:
        file.write("channels: 4\n")
    with pytest.raises(
        DataError, match=r"uint8 \(H, W, 4\), found uint8 \(20, 30, 3\) in .*: mind `channels`"
    ):
        Folder("train", root, val_fraction=0.0).read(0)
