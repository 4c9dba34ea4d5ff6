from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import ImageFolder

from fusionseg.data import ClassFolders, ClassTable
from fusionseg.data.base import DataError
from fusionseg.data.mapped_classes import MappedClasses
from fusionseg.data.subset import drawn

Writer = Callable[..., Path]


def test_images_and_classes_are_those_of_torchvisions_image_folder(class_folders: Writer) -> None:
    root = class_folders()
    for split in ("train", "val", "test"):
        ours = ClassFolders(split, root)
        theirs = ImageFolder(str(root / split))
        assert list(ours.classes.names) == theirs.classes
        assert ours.classes.per_image == "one"
        found = {str(ours.photo(i)): ours.shown(i).argmax() for i in range(len(ours))}
        assert found == dict(theirs.samples)
        assert np.array_equal(ours.read(3).image, np.asarray(theirs[3][0]))
        assert all(ours.shown(i).sum() == 1 for i in range(len(ours)))


def test_without_splits_images_are_drawn_and_stay_where_they_are(class_folders: Writer) -> None:
    root = class_folders(divided=False, each=20)
    names = {s: set(ClassFolders(s, root, test_fraction=0.2).names) for s in ClassFolders.splits}
    assert sum(map(len, names.values())) == len(set.union(*names.values())) == 60
    (root / "dark" / "0.png").rename(root / "dark" / "new.png")
    assert names["val"] - {"dark/0"} <= set(ClassFolders("val", root, test_fraction=0.2).names)


def test_gray_images_have_one_channel_where_that_is_wanted(class_folders: Writer) -> None:
    root = class_folders()
    gray, colors = (ClassFolders("train", root, channels=channels).read(0).image for channels in (1, 3))
    assert gray.shape == (28, 28, 1)
    assert np.array_equal(np.repeat(gray, 3, 2), colors)


def test_a_class_that_has_no_image_to_train_on_is_noticed(class_folders: Writer) -> None:
    root = class_folders(divided=False, each=20)
    for path in (root / "dark").iterdir():
        if drawn(f"dark/{path.stem}") >= 0.2:
            path.unlink()
    (notice,) = ClassFolders("train", root).notices
    assert notice.startswith("no image of dark among the ")
    assert not ClassFolders("val", root).notices


def loose(root: Path) -> None:
    (root / "train" / "a.png").write_bytes((root / "train" / "dark" / "0.png").read_bytes())


def one_class(root: Path) -> None:
    for split in ("train", "val", "test"):
        for kind in ("light", "striped"):
            (root / split / kind).rename(root.parent / f"{split}-{kind}")


def unknown(root: Path) -> None:
    (root / "val" / "dark").rename(root / "val" / "darker")


def no_val(root: Path) -> None:
    (root / "val").rename(root.parent / "elsewhere")


@pytest.mark.parametrize(
    ("change", "split", "message"),
    [
        (
            loose,
            "train",
            "expected images in folders named for their classes, found a.png beside these in .*train: move",
        ),
        (
            one_class,
            "train",
            "expected images of two classes or more, found dark alone in .*patterns: add images of another class",
        ),
        (
            unknown,
            "val",
            "expected in .*val classes that .*train has, found darker: name the folders alike, or add",
        ),
        (no_val, "val", "not found: .*val; expected this layout"),
    ],
)
def test_what_is_wrong_is_one_message(
    change: Callable[[Path], None], split: str, message: str, class_folders: Writer
) -> None:
    root = class_folders()
    change(root)
    with pytest.raises(DataError, match=message):
        ClassFolders(split, root)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "names", [("Train", "Val", "Test"), ("training", "validation", "testing"), ("seg_train", "x", "seg_test")]
)
def test_splits_of_other_names_do_not_become_classes(names: tuple[str, ...], class_folders: Writer) -> None:
    root = class_folders(each=2)
    for split, name in zip(("train", "val", "test"), names, strict=True):
        (root / split).rename(root / "moved")
        (root / "moved").rename(root / name)
    named = ", ".join(name for name in sorted(names) if name != "x")
    with pytest.raises(DataError, match=f"named train, val and test in .*, found {named}, which would be"):
        ClassFolders("train", root)


def test_a_class_may_be_named_as_a_split_is(class_folders: Writer) -> None:
    root = class_folders(divided=False, each=4)
    (root / "dark").rename(root / "test")
    (root / "light").rename(root / "trains")
    (root / "trains" / "steam").mkdir()
    for path in (root / "trains").glob("*.png"):
        path.rename(root / "trains" / "steam" / path.name)
    assert ClassFolders("train", root).classes.names == ("striped", "test", "trains")


def test_folders_and_tables_are_read_from_archives(
    class_folders: Writer, class_table: Writer, packed: Writer, tmp_path: Path
) -> None:
    root = class_folders(each=2)
    table = class_table(root)
    archive = packed(root, tmp_path / "patterns.zip")
    pairs = (
        (ClassFolders("val", root), ClassFolders("val", archive)),
        (ClassTable("val", table, several=True), ClassTable("val", table, archive, several=True)),
    )
    for plain, zipped in pairs:
        assert zipped.names == plain.names
        for i in range(len(plain)):
            assert np.array_equal(zipped.shown(i), plain.shown(i))
            assert np.array_equal(zipped.read(i).image, plain.read(i).image)
            assert zipped.image_size(i) == (28, 28)


def test_labels_of_whole_images_are_not_given_other_classes(class_folders: Writer) -> None:
    dataset = ClassFolders("val", class_folders())
    with pytest.raises(DataError, match="expected label maps to give other classes, found labels of whole"):
        MappedClasses(dataset, dataset.classes, {})
