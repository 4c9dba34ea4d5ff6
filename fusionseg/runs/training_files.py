"""The files that a run was trained on, by name and digest, so that none of them is scored as unseen."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from fusionseg.data.base import DataError, SegmentationDataset
from fusionseg.files.atomic import write_text
from fusionseg.files.matching import some
from fusionseg.files.readable_path import ReadablePath
from fusionseg.runs.folder import RunFolder

CHUNK = 2**16
"""Bytes of a file's beginning, middle and end that its digest is made of."""


def digest(path: ReadablePath) -> str:
    """The digest of a file: of its size, beginning, middle and end, which is all of a file up to 192 KiB.

    So much of a compressed photo is no other's, and a large one is not read as a whole.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        found = hashlib.blake2b(str(size).encode(), digest_size=16)
        for start in sorted({0, max(0, (size - CHUNK) // 2), max(0, size - CHUNK)}):
            file.seek(start)
            found.update(file.read(CHUNK))
    return found.hexdigest()


def digests(dataset: SegmentationDataset) -> Iterator[tuple[str, str]]:
    """The digest of each image's file and the image's name; nothing of images without a file."""
    for index in range(len(dataset)):
        if photo := dataset.photo(index):
            yield digest(photo), dataset.name(index)


def trained_on(known: Mapping[str, str], dataset: SegmentationDataset) -> str:
    """How many of a dataset's images are among those that were trained on, and which; empty for none.

    Args:
        known: The names by digests of what was trained on.
        dataset: The split that is scored.
    """
    seen = [f"{name} (as {known[found]})" for found, name in digests(dataset) if found in known]
    return f"{len(seen)} of {len(dataset)} images, {some(seen)}" if seen else ""


def check_unseen(path: Path, dataset: SegmentationDataset, remedy: str) -> None:
    """Raises a DataError if some of a dataset's images were trained on, under whatever names.

    Args:
        path: The list of the run's training files.
        dataset: The split that is to be scored.
        remedy: What can be done, for the message.
    """
    if (known := read(path)) and (seen := trained_on(known, dataset)):
        raise DataError(f"expected images that the run was not trained on, found {seen} in {path}: {remedy}")


def namesakes(path: Path, dataset: SegmentationDataset) -> str:
    """Which of a dataset's images have names of others that were trained on, in a line; empty if none.

    They may be the same images in another encoding, or others: who knows the data decides.

    Args:
        path: The list of the run's training files.
        dataset: The split that is to be scored.
    """
    names = set(read(path).values())
    found = [name for index in range(len(dataset)) if (name := dataset.name(index)) in names]
    if not found:
        return ""
    return (
        f"{len(found)} of {len(dataset)} images have names of training images, with other content "
        f"({some(found)}): if they are the same images in another encoding, their scores are no test"
    )


def read(path: Path) -> dict[str, str]:
    """The names by digests that `write` wrote; empty if there is no such file.

    Raises:
        DataError: The file holds something else.
    """
    if not path.is_file():
        return {}
    try:
        return dict(line.split(" ", 1) for line in path.read_text(encoding="utf-8").splitlines())
    except ValueError as error:
        raise DataError(f"expected a digest and a name in each line of {path}: {error}") from error


def of_model(source: Path) -> dict[str, str]:
    """The names by digests of what a model was trained on; empty where that is not known.

    Args:
        source: A run folder, a checkpoint in one, or anything else with a model, of which it is not known.
    """
    given = source.absolute()
    folder = given.parent.parent if given.is_file() else given
    run = RunFolder(folder)
    return read(run.training_files) if given in (folder, run.checkpoints / given.name) else {}


def write(path: Path, known: Mapping[str, str]) -> None:
    """Writes a digest and a name in each line, atomically."""
    write_text(path, "".join(f"{found} {name}\n" for found, name in known.items()))
