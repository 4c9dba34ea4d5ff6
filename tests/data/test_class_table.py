from collections.abc import Callable
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest

from fusionseg.data import ClassTable
from fusionseg.data.base import DataError

Writer = Callable[..., Path]


@pytest.fixture
def listed(class_folders: Writer) -> Callable[..., Path]:
    """Writes a table of the lines that are given beside nested images."""

    def written(*lines: str, header: str = "image,label") -> Path:
        table = class_folders(divided=False) / "table.csv"
        table.write_text("\n".join([header, *lines]))
        return table

    return written


def shown(dataset: ClassTable) -> dict[str, set[str]]:
    names = dataset.classes.names
    return {
        dataset.name(i): {name for name, there in zip(names, dataset.shown(i), strict=True) if there}
        for i in range(len(dataset))
    }


def test_each_line_names_an_image_and_its_class(class_folders: Writer) -> None:
    root = class_folders(divided=False, each=10)
    paths = sorted(path.relative_to(root) for path in root.rglob("*.png"))
    table = root.parent / "table.csv"
    table.write_text(
        "".join(f"{path},{path.parent},0.5\n" for path in [Path("image"), *paths]).replace(
            "image,.", "image,label"
        )
    )
    train, val = (ClassTable(split, table, root) for split in ("train", "val"))
    assert train.classes.names == ("dark", "light", "striped")
    assert train.classes.per_image == "one"
    found = shown(train) | shown(val)
    assert found == {path.with_suffix("").as_posix(): {str(path.parent)} for path in paths}


def test_images_of_several_classes_or_none_have_them_in_a_cell_or_in_several_lines(
    listed: Callable[..., Path],
) -> None:
    lines = (
        "dark/0.png,dark; old,train",
        "dark/0.png,rare,train",
        "light/1.png,,train",
        "dark/2.png,old,val",
    )
    table = listed(*lines, header="image,label,split")
    train = ClassTable("train", table, several=True)
    assert train.classes.names == ("dark", "old", "rare")
    assert train.classes.per_image == "any"
    assert shown(train) == {"dark/0": {"dark", "old", "rare"}, "light/1": set()}
    assert shown(ClassTable("val", table, several=True)) == {"dark/2": {"old"}}


def test_tables_of_other_programs_are_read(listed: Callable[..., Path]) -> None:
    table = listed()
    (table.parent / normalize("NFD", "größe.png")).write_bytes((table.parent / "dark/0.png").read_bytes())
    lines = [
        "label,image ,note,split",
        'dark,dark\\0.png,"a, b",train',
        "",
        f"{normalize('NFC', 'größe')},größe.png,,train",
    ]
    table.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    assert shown(ClassTable("train", table)) == {"dark/0": {"dark"}, "größe": {"größe"}}


@pytest.mark.parametrize(
    ("lines", "header", "several", "message"),
    [
        (
            ["dark/0.png,dark", "dark/99.png,dark"],
            "image,label",
            False,
            r"found no dark/99.png \(line 3\): correct the paths, or set data.dataset.images",
        ),
        (
            ["dark/0.png"],
            "image,label",
            False,
            "expected 2 cells as in the header, found 1 in line 2 of .*table.csv",
        ),
        (
            ["dark/0.png,dark"],
            "file,label",
            False,
            r"found no column image among \['file', 'label'\] in .*table.csv",
        ),
        (
            ["dark/0.png,dark;old"],
            "image,label",
            False,
            "expected one class, found 'dark;old' in line 2 .*set data.dataset.several",
        ),
        (["dark/0.png,"], "image,label", False, "expected one class, found '' in line 2"),
        (
            ["dark/0.png,a", "dark/0.png,b"],
            "image,label",
            False,
            "found dark/0.png in line 2 and again in line 3",
        ),
        (
            ["dark/0.png,a,dev"],
            "image,label,split",
            False,
            "expected train, val or test as the split, found 'dev' in line 2",
        ),
        ([",a"], "image,label", False, "expected the path of an image, found none in line 2"),
        ([], "image,label", False, "found no line of an image in .*table.csv"),
        (["dark/0.png,dark,val"], "image,label,split", False, "no images to train on in .*table.csv"),
        (
            ["dark/0.png,dark,train", "dark/1.png,dark,val"],
            "image,label,split",
            False,
            "found dark alone in .*table.csv",
        ),
        (
            ["dark/0.png,,train", "dark/1.png, ;,train"],
            "image,label,split",
            True,
            "a class or more, found none in .*table.csv",
        ),
        (
            ["dark/0.png,a,train", "dark/1.png,b,train", "dark/0.png,b,val"],
            "image,label,split",
            True,
            "expected one split of dark/0.png, found train in line 2 and val in line 4 of .*table.csv: choose",
        ),
        (
            ["dark/0.png,a,train", "dark/1.png,b,train", "dark/2.png,rare,val"],
            "image,label,split",
            False,
            "expected in val classes that train has, found rare in line 4 of .*table.csv",
        ),
        (
            ["dark/0.png,a", '"' + "b" * 140000],
            "image,label",
            False,
            "found field larger than field limit .* in line 3 of .*table.csv",
        ),
    ],
)
def test_what_is_wrong_is_one_message(
    lines: list[str], header: str, several: bool, message: str, listed: Callable[..., Path]
) -> None:
    with pytest.raises(DataError, match=message):
        ClassTable("train", listed(*lines, header=header), several=several)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not found: .*none.csv; expected a header `image,label`"):
        ClassTable("train", tmp_path / "none.csv")


def test_two_files_of_one_name_are_refused(listed: Callable[..., Path]) -> None:
    table = listed("dark/0.png,dark", "dark/0.bmp,light")
    (table.parent / "dark/0.bmp").write_bytes(b"")
    with pytest.raises(DataError, match=r"one file named dark/0 in .*, found 0.png and 0.bmp: rename one"):
        ClassTable("train", table)


def test_a_table_that_is_no_text_is_refused(listed: Callable[..., Path]) -> None:
    table: Any = listed()
    table.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"expected a header `image,label` .*UTF-8"):
        ClassTable("train", table)
