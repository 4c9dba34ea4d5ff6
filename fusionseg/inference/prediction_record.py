"""The record of predictions: a line for each image, appended when its answers are written."""

import json
from pathlib import Path

from fusionseg.files.atomic import Json, write_json
from fusionseg.files.images import coco_panoptic_json
from fusionseg.sample import Classes

RECORD = "predictions.jsonl"
"""The file, which also tells that a folder holds predictions."""


class PredictionRecord:
    """The images whose answers a folder holds, so that a run that was stopped is continued by the next one.

    The first line of the file holds the settings. An image is done unless its file has changed since. The
    last line of a process that was killed may be cut, and is then removed.

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
        self.entries: dict[str, Json] = {}
        if not self.path.is_file():
            return
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with self.path.open("rb+") as file:
                file.truncate(len(whole))
        if lines := [json.loads(line) for line in whole.splitlines()]:
            if lines[0] != settings:
                keys = dict.fromkeys([*settings, *lines[0]])
                differing = [key for key in keys if settings.get(key) != lines[0].get(key)]
                raise FileExistsError(
                    f"{folder} already holds predictions by another {' and '.join(differing)}: choose "
                    "another folder with --out, or remove it"
                )
            self.entries = {entry["name"]: entry for entry in lines[1:]}

    def has(self, name: str, path: Path) -> bool:
        """Whether the answers for an image are there, and its file is as it was."""
        return name in self.entries and self.entries[name]["state"] == _state(path)

    def add(self, name: str, path: Path, entry: Json) -> None:
        """Adds an image whose answers are written.

        Args:
            name: The name of its output.
            path: Its file.
            entry: `file_name`, `height` and `width`; where there are any, the `annotation` in COCO's panoptic
                format and the `scenes`, how likely each class is.
        """
        entry = {"name": name, "state": _state(path), **entry}
        new = not self.path.is_file() or not self.path.stat().st_size
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            for line in [self.settings, entry] if new else [entry]:
                file.write(json.dumps(line) + "\n")
        self.entries[name] = entry

    def finish(self, classes: Classes) -> None:
        """Writes `panoptic.json` and `scenes.json` of all images, where the model has these tasks."""
        images, annotations, scenes = [], [], {}
        for number, (name, entry) in enumerate(self.entries.items(), 1):
            images.append({"id": number, **{key: entry[key] for key in ("file_name", "height", "width")}})
            if entry.get("annotation"):
                annotations.append({"image_id": number, **entry["annotation"]})
            if entry.get("scenes"):
                scenes[name] = entry["scenes"]
        if annotations:
            write_json(self.folder / "panoptic.json", coco_panoptic_json(images, annotations, classes))
        if scenes:
            write_json(self.folder / "scenes.json", scenes)


def _state(path: Path) -> list[int]:
    """The size of a file in bytes and its time of modification."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
