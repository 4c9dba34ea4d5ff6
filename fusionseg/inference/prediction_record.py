"""The record of predictions: a line for each image, appended when its answers are written."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fusionseg.files.atomic import Json, remove_drafts, replacing, write_json, write_json_lists, write_text
from fusionseg.files.csv_text import as_csv, write_rows
from fusionseg.files.images import coco_categories, coco_panoptic_json
from fusionseg.sample import Classes

if TYPE_CHECKING:
    from fusionseg.inference.input_images import InputImage

RECORD = "predictions.jsonl"
"""The file, which also tells that a folder holds predictions."""


class Line(NamedTuple):
    """Where the record holds an image.

    Attributes:
        files: The image's file, resolved; that of its depth too.
        state: The size of each file in bytes and its time of modification.
        offset: Where in the record its line begins.
    """

    files: list[str]
    state: list[int]
    offset: int


class PredictionRecord:
    """The images whose answers a folder holds, so that a run that was stopped is continued by the next one.

    The first line of the file holds the settings. An image is done unless its file has changed since; of
    several lines of one name the last one counts, which has no state where there is no answer any more. The
    last line of a process that was killed may be cut, and is then removed, as are its drafts of files.

    Args:
        folder: The folder to write to.
        settings: What the answers depend on besides the images, such as the digest of the checkpoint.

    Raises:
        FileExistsError: If the folder holds predictions by other settings.
    """

    def __init__(self, folder: Path, settings: Json) -> None:
        self.folder = folder
        self.path = folder / RECORD
        self.settings = settings
        self.lines: dict[str, Line] = {}
        if self.path.is_file():
            self._read()
            remove_drafts(folder)

    def _read(self) -> None:
        """Finds the lines of the file, and removes one that was cut."""
        with self.path.open("rb+") as file:
            offset = 0
            for line in file:
                if not line.endswith(b"\n"):
                    break
                content = json.loads(line)
                if not offset:
                    self._check(content)
                elif content["state"]:
                    self.lines[content["name"]] = Line(content["files"], content["state"], offset)
                else:
                    self.lines.pop(content["name"], None)
                offset += len(line)
            file.truncate(offset)

    def _check(self, settings: Json) -> None:
        """Raises a FileExistsError if the folder's settings are others."""
        keys = dict.fromkeys([*self.settings, *settings])
        differing = [key for key in keys if self.settings.get(key) != settings.get(key)]
        if differing:
            raise FileExistsError(
                f"{self.folder} already holds predictions by another {' and '.join(differing)}: choose "
                "another folder with --out, or remove it"
            )

    def named(self, images: "Mapping[str, InputImage]") -> "dict[str, InputImage]":
        """The images by the names of their output in this folder.

        One that has answers here keeps their name. Another one whose name is taken, as by `a.jpg` where it is
        `a.png`, is named with its suffix.

        Args:
            images: The images by the names that they would have in an empty folder.

        Raises:
            FileExistsError: If the folder holds answers of another file of the same name.
        """
        paths = {name: _resolved([image.path])[0] for name, image in images.items()}
        same = {name for name, path in paths.items() if self._holder(name) == path}
        known = {line.files[0]: name for name, line in self.lines.items() if name not in same}
        found: dict[str, InputImage] = {}
        for name, image in images.items():
            chosen = name if name in same else known.pop(paths[name], name)
            holder = self._holder(chosen) or paths[name]
            if holder != paths[name] and Path(holder).suffix != image.path.suffix:
                chosen = image.file_name
                holder = self._holder(chosen) or paths[name]
            if holder != paths[name] or chosen in found:
                raise FileExistsError(
                    f"{self.folder} already holds the answer for {holder}, found {image.path} of the same "
                    "name: choose another folder with --out"
                )
            found[chosen] = image
        return found

    def has(self, name: str, *files: Path) -> bool:
        """Whether the answers for an image are there, of these files, which are as they were."""
        line = self.lines.get(name)
        return line is not None and line.files == _resolved(files) and line.state == _state(files)

    def remove(self, name: str) -> None:
        """Removes an image that has no answer any more."""
        if self.lines.pop(name, None):
            with self.path.open("ab") as file:
                file.write(_encoded({"name": name, "state": []}))

    def _holder(self, name: str) -> str | None:
        """The image's file whose answers have a name; None where it is free."""
        return self.lines[name].files[0] if name in self.lines else None

    def begin(self) -> None:
        """Writes the settings, so that what is written before the first image is done can be continued."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            if not file.tell():
                file.write(_encoded(self.settings))

    def withdraw(self) -> None:
        """Removes the settings again, and the folder if it is empty, where no image has an answer."""
        if not self.lines:
            self.path.unlink(missing_ok=True)
            with suppress(OSError):
                self.folder.rmdir()

    def add(self, name: str, files: Sequence[Path], entry: Json) -> None:
        """Adds an image whose answers are written.

        Args:
            name: The name of its output.
            files: Its file, and that of its depth where it has one.
            entry: `file_name`, `height` and `width`; where there are any, the `annotation` in COCO's panoptic
                format, the `segments` as rows of a table or the `segments_file` in the folder that holds
                these, the `instances` as annotations in COCO's format without ids, and the `scenes`, how
                likely each class is, with whether an image shows a `single` one.
        """
        paths = _resolved(files)
        state = _state(files)
        self.begin()
        with self.path.open("ab") as file:
            self.lines[name] = Line(paths, state, file.tell())
            file.write(_encoded({"name": name, "files": paths, "state": state, **entry}))

    def entries(self) -> Iterator[Json]:
        """The entries of all images with their names, read one after the other."""
        if not self.lines:
            return
        with self.path.open("rb") as file:
            for line in self.lines.values():
                file.seek(line.offset)
                yield json.loads(file.readline())

    def finish(self, classes: Classes) -> None:
        """Writes what is in one file for all images, where the model has these tasks.

        These are `panoptic.json`, `instances.json`, `segments.csv`, `scenes.json` and `scenes.csv`.
        """
        from fusionseg.inference.answer import COLUMNS  # here, because it imports torch

        images, annotations, scenes, labels = [], [], {}, []
        kinds: set[str] = set()
        for number, entry in enumerate(self.entries(), 1):
            kinds |= entry.keys()
            images.append({"id": number, **{key: entry[key] for key in ("file_name", "height", "width")}})
            if entry.get("annotation"):
                annotations.append({"image_id": number, **entry["annotation"]})
            if entry.get("scenes"):
                scenes[entry["name"]] = entry["scenes"]
                labels.append(_scene_row(entry["name"], entry["scenes"], entry["single"]))
        if annotations:
            write_json(self.folder / "panoptic.json", coco_panoptic_json(images, annotations, classes))
        if "instances" in kinds:
            categories = [each for each in coco_categories(classes) if each["isthing"]]
            lists = {"images": images, "annotations": self._instances(), "categories": categories}
            write_json_lists(self.folder / "instances.json", lists)
        if kinds & {"segments", "segments_file"}:
            with (
                replacing(self.folder / "segments.csv") as draft,
                draft.open("w", newline="", encoding="utf-8") as file,
            ):
                write_rows(file, self._segments(), ["image", *COLUMNS])
        if scenes:
            write_json(self.folder / "scenes.json", scenes)
            write_text(self.folder / "scenes.csv", as_csv(labels))

    def _instances(self) -> Iterator[Json]:
        """The annotations of all instances, numbered from 1."""
        number = 0
        for image, entry in enumerate(self.entries(), 1):
            for instance in entry["instances"]:
                number += 1
                yield {"id": number, "image_id": image, **instance}

    def _segments(self) -> Iterator[Json]:
        """The rows of all segments, each with the name of its image."""
        for entry in self.entries():
            for row in entry.get("segments", []):
                yield {"image": entry["name"], **row}
            if "segments_file" in entry:
                with (self.folder / entry["segments_file"]).open(newline="", encoding="utf-8") as file:
                    for cells in csv.DictReader(file):
                        yield {"image": entry["name"], **cells}


def _scene_row(name: str, likely: Mapping[str, float], single: bool) -> dict[str, str | float]:
    """A line of the table of scenes: an image, its classes, and how likely each is.

    These are the likeliest one where an image shows exactly one for the head, else all of at least a half.
    """
    if single:
        said = [max(likely, key=lambda one: likely[one])]
    else:
        said = [one for one, probability in likely.items() if probability >= 0.5]
    return {"image": name, "label": ";".join(said), **{f"p({one})": value for one, value in likely.items()}}


def _encoded(content: Json) -> bytes:
    """A line of the file."""
    return f"{json.dumps(content)}\n".encode()


def _resolved(files: Iterable[Path]) -> list[str]:
    """The path of each file from the root."""
    return [str(path.resolve()) for path in files]


def _state(files: Iterable[Path]) -> list[int]:
    """The size of each file in bytes and its time of modification."""
    states = [path.stat() for path in files]
    return [number for state in states for number in (state.st_size, state.st_mtime_ns)]
