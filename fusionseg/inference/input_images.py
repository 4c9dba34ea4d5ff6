"""Finds the images to predict: files, folders with all below, and patterns."""

import glob
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from fusionseg.config.errors import UsageError, UserError
from fusionseg.files.folders import files_below
from fusionseg.files.matching import by_stem, some
from fusionseg.files.photos import photo_suffixes
from fusionseg.files.surface_maps import DEPTH_SUFFIXES
from fusionseg.inference.prediction_record import RECORD


class InputImage(NamedTuple):
    """An image to predict.

    Attributes:
        path: The file.
        file_name: Its path relative to the folder that was named, with `/`.
        depth: The file of its depth, if one was named.
    """

    path: Path
    file_name: str
    depth: Path | None = None


class InputImages:
    """The images that paths name, and what was passed over.

    In folders and patterns, files of other kinds, hidden ones, links that lead nowhere and folders of
    predictions are passed over.

    Args:
        paths: Files, folders that are searched with all below, and glob patterns.
        out: The folder to write to, which is never searched.

    Attributes:
        by_name: The images by names that are unique and can name the output.

    Raises:
        UsageError: If images are to be taken from the folder to write to.
        FileNotFoundError: If a path names no image.
        ValueError: If a folder holds predictions, or several images have the same name.
    """

    def __init__(self, paths: Sequence[str], out: Path) -> None:
        self.out = out.resolve()
        self.others: Counter[str] = Counter()
        self.hidden = 0
        self.broken = 0
        self.predictions: set[Path] = set()
        files: dict[Path, str] = {}
        for path in paths:
            if Path(path).resolve() == self.out:
                raise UsageError(f"expected another folder than that of the images, found {out}", "out")
            found = self._found(path)
            if not found:
                notice = f" ({self.notice})" if self.notice else ""
                raise FileNotFoundError(
                    f"{path}: expected an image, a folder of images or a pattern, found none{notice}"
                )
            files.update(found)
        images = [InputImage(path, normalize("NFC", name)) for path, name in files.items()]
        stems = Counter(_stem(image.file_name) for image in images)
        self.by_name: dict[str, InputImage] = {}
        for image in images:
            stem = _stem(image.file_name)
            name = stem if stems[stem] == 1 else image.file_name
            if name in self.by_name:
                raise UserError(
                    f"expected images of different names, found {self.by_name[name].path} and {image.path}: "
                    "name the folder that holds both, or predict them into different folders"
                )
            self.by_name[name] = image

    @property
    def notice(self) -> str:
        """One line that counts what was passed over; empty if there is nothing."""
        kinds = " ".join(sorted(self.others))
        counts = {
            f"files of other kinds ({kinds})": sum(self.others.values()),
            "hidden": self.hidden,
            "links that lead nowhere": self.broken,
            "folders of predictions": len(self.predictions),
        }
        passed = [f"{count} {what}" for what, count in counts.items() if count]
        return f"passed over: {', '.join(passed)}" if passed else ""

    def take_depth(self, path: Path) -> None:
        """Gives each image its depth.

        Args:
            path: A folder, in which files have the images' paths but for the suffix; or a file for one image.

        Raises:
            FileNotFoundError: If there is no such file or folder.
            UserError: If an image has no depth there.
        """
        if path.is_file() and len(self.by_name) == 1:
            found = {_stem(image.file_name): path for image in self.by_name.values()}
        elif path.is_dir():
            found = by_stem(path, DEPTH_SUFFIXES)
        else:
            kind = "a folder of depth files" if len(self.by_name) > 1 else "a file or a folder of depth"
            raise FileNotFoundError(f"expected {kind} for the images, found {path}")
        names = {name: _stem(image.file_name) for name, image in self.by_name.items()}
        if lonely := [name for name, own in names.items() if own not in found]:
            raise UserError(f"no depth in {path} for {some(lonely)}: add files of these names")
        self.by_name = {n: image._replace(depth=found[names[n]]) for n, image in self.by_name.items()}

    def _found(self, text: str) -> dict[Path, str]:
        """The image files that one path names, each with its path relative to the folder that was named."""
        path = Path(text)
        if path.is_file():
            return {path: path.name}
        if (path / RECORD).is_file():
            raise UserError(f"expected images, found predictions in {path}: name the folder of the photos")
        if path.is_dir():
            inside = files_below(path, self._enters, self._count_left_out)
            return {file: file.relative_to(path).as_posix() for file in inside if self._is_photo(file)}
        root = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
        found: dict[Path, str] = {}
        for file in map(Path, sorted(glob.glob(text, recursive=True))):
            inner = file.relative_to(root)
            above = [root / parent for parent in inner.parents if parent.parts]
            if len({folder.resolve() for folder in (root, *above)}) <= len(above):
                continue  # a circle of links
            if file.is_symlink() and not file.exists():
                self._count_left_out(file)
            elif file.is_file() and all(map(self._enters, above)) and self._is_photo(file):
                found[file] = inner.as_posix()
        return found

    def _is_photo(self, file: Path) -> bool:
        suffix = file.suffix.lower()
        if suffix in photo_suffixes():
            return True
        self.others[suffix or file.name] += 1
        return False

    def _enters(self, folder: Path) -> bool:
        labels = (folder / "semantic").is_dir() or (folder / "region").is_dir()
        written = (folder / RECORD).is_file() or ((folder / "overlay").is_dir() and labels)
        skipped = written or folder.resolve() == self.out
        if skipped:
            self.predictions.add(folder.resolve())
        return not skipped

    def _count_left_out(self, path: Path) -> None:
        if path.name.startswith("."):
            self.hidden += 1
        else:
            self.broken += 1


def _stem(file_name: str) -> str:
    return Path(file_name).with_suffix("").as_posix()
