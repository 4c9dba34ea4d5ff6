"""Images of your own with a table of the classes that they show."""

import csv
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from typing_extensions import override

from fusionseg.data.base import DataError, SegmentationDataset, Split
from fusionseg.data.image_classes import Channels, ImageClasses
from fusionseg.data.splits import drawn_splits
from fusionseg.files.archives import tree
from fusionseg.files.folders import files_below
from fusionseg.files.matching import some, stem
from fusionseg.files.photos import photo_suffixes
from fusionseg.files.readable_path import ReadablePath

FORM = "a header `image,label` (and `split`, if you like), then a line for each image: `cats/1.png,cat`"
"""What the table looks like, for messages."""


class ClassTable(ImageClasses):
    """Images whose classes stand in a CSV file: columns `image`, `label`, and `split` if you like.

    `image` is the path of a file below the folder of images, with `/`. `label` is the name of its class; with
    `several` it is any number of names, `cat;dog`, or none, and an image may have several lines. `split` is
    `train`, `val` or `test`; without that column each image is drawn by the hash of its own name, as in
    `Folder`. Further columns are ignored, and so is a byte-order mark. Classes are ordered by name.

    Args:
        split: Which images.
        table: The CSV file, UTF-8.
        images: The folder that the paths in the table begin in, or an archive of it; by default the folder of
            the table.
        several: Whether an image shows any number of classes, instead of exactly one.
        channels: 3 for RGB, to which other colors are converted; 1 for gray.
        val_fraction: Probability of an image to be validated on, without a column `split`.
        test_fraction: Probability of an image to be tested on, without a column `split`.

    Raises:
        DataError: The table has another form, or names files that are not there.
        ValueError: The fractions leave no images to train on.
    """

    def __init__(
        self,
        split: Split,
        table: str | Path,
        images: str | Path | None = None,
        several: bool = False,
        channels: Channels = 3,
        val_fraction: float = 0.2,
        test_fraction: float = 0.0,
    ) -> None:
        path = Path(table)
        if not path.is_file():
            raise DataError(f"not found: {path}; expected {FORM}")
        rows = list(_rows(path, several))
        if not rows:
            raise DataError(f"expected {FORM}, found no line of an image in {path}")
        root = tree(path.parent if images is None else images)
        photos = _photos(rows, root, path)
        self._labels: dict[str, list[str]] = {stem(row.image): [] for row in rows}
        for row in rows:
            self._labels[stem(row.image)] += row.labels
        listed = {stem(row.image): row.split for row in rows}
        if any(listed.values()):
            chosen = [name for name, own in listed.items() if own == split]
        else:
            remedy = "change the fractions, or add a column `split`"
            chosen = drawn_splits(path, list(listed), val_fraction, test_fraction, remedy)[split]
        if not chosen:
            raise DataError(f"no images to {split} on in {path}: name some in its column `split`")
        names = sorted({label for own in self._labels.values() for label in own})
        if any(listed.values()):
            _check_classes(rows, path)
        own = {name: photos[name] for name in chosen}
        super().__init__(split, own, names, "any" if several else "one", channels, path)

    @override
    def classes_of(self, name: str) -> list[str]:
        return self._labels[name]


class _Row(NamedTuple):
    """A line of the table."""

    number: int
    image: str
    labels: list[str]
    split: str


def _rows(path: Path, several: bool) -> Iterator[_Row]:
    """The lines of a table.

    Raises:
        DataError: One of them has another form.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"expected {FORM} (UTF-8), found {error} in {path}") from error
    lines = _lines(text, path)
    header = [cell.strip() for cell in next(lines, (1, []))[1]]
    if missing := [name for name in ("image", "label") if header.count(name) != 1]:
        raise DataError(f"expected {FORM}, found no column {missing[0]} among {header} in {path}")
    known: dict[str, _Row] = {}
    for number, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        where = f"in line {number} of {path}"
        if len(cells) != len(header):
            raise DataError(f"expected {len(header)} cells as in the header, found {len(cells)} {where}")
        entry = dict(zip(header, (normalize("NFC", cell.strip()) for cell in cells), strict=True))
        row = _Row(number, *_parsed(entry, several, where))
        if row.image in known:
            _check_again(row, known[row.image], several, where)
        known[row.image] = row
        yield row


def _lines(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The number and the cells of each line.

    Raises:
        DataError: The text is no CSV.
    """
    lines = csv.reader(StringIO(text, newline=""))
    try:
        for cells in lines:
            yield lines.line_num, cells
    except csv.Error as error:
        raise DataError(f"expected {FORM}, found {error} in line {lines.line_num} of {path}") from error


def _check_again(row: _Row, before: _Row, several: bool, where: str) -> None:
    """Raises a DataError if an image may not have a second line, or has another split there."""
    if not several:
        raise DataError(
            f"expected each image in one line, found {row.image} in line {before.number} and again "
            f"{where}: take one out, or set data.dataset.several for images of several classes"
        )
    if row.split != before.split:
        raise DataError(
            f"expected one split of {row.image}, found {before.split} in line {before.number} and "
            f"{row.split} {where}: choose one"
        )


def _check_classes(rows: Sequence[_Row], path: Path) -> None:
    """Raises a DataError if images of a split show a class that none to train on shows."""
    known = {label for row in rows if row.split == "train" for label in row.labels}
    for row in rows:
        if strange := [label for label in row.labels if label not in known]:
            raise DataError(
                f"expected in {row.split} classes that train has, found {some(strange)} in line {row.number} "
                f"of {path}: name the classes alike, or add images to train on"
            )


def _parsed(entry: dict[str, str], several: bool, where: str) -> tuple[str, list[str], str]:
    """The image, its classes and its split in a line.

    Raises:
        DataError: There is no image, another number of classes, or an unknown split.
    """
    labels = [label.strip() for label in entry["label"].split(";") if label.strip()]
    if not several and len(labels) != 1:
        raise DataError(
            f"expected one class, found {entry['label']!r} {where}: set data.dataset.several for images of "
            "any number of classes"
        )
    if not entry["image"]:
        raise DataError(f"expected the path of an image, found none {where}")
    split = entry.get("split", "")
    if "split" in entry and split not in SegmentationDataset.splits:
        raise DataError(f"expected train, val or test as the split, found {split!r} {where}")
    return entry["image"].replace("\\", "/").removeprefix("./"), labels, split


def _photos(rows: Sequence[_Row], root: ReadablePath, table: Path) -> dict[str, ReadablePath]:
    """The file of each image, by its name.

    Raises:
        DataError: Some are not there, or two differ only in their suffix.
    """
    there = {}
    if root.is_dir():
        for file in files_below(root):
            if file.suffix.lower() in photo_suffixes():
                there[normalize("NFC", file.relative_to(root).as_posix())] = file
    if lost := [f"{row.image} (line {row.number})" for row in rows if row.image not in there]:
        raise DataError(
            f"expected the images that {table} names below {root}, found no {some(lost)}: correct the paths, "
            "or set data.dataset.images to the folder that they begin in"
        )
    photos: dict[str, ReadablePath] = {}
    for row in rows:
        name = stem(row.image)
        if photos.setdefault(name, there[row.image]) != there[row.image]:
            raise DataError(
                f"expected one file named {name} in {table}, found {photos[name].name} and "
                f"{there[row.image].name}: rename one"
            )
    return photos
