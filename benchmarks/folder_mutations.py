"""Changes what lies in the folders of a data set: other names, no lists, files that are no images.

As in `benchmarks.dataset_mutations` none of it is damage. Files of a case are hard links to the originals, so
that each is replaced and none is written to.
"""

import os
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import yaml
from PIL import Image


def drawn(generator: Random, folder: Path) -> None:
    """No lists, and more images, which differ from the others in one pixel."""
    for path in (folder / "data").glob("*.txt"):
        path.unlink()
    for copy in range(generator.randint(3, 5)):
        for part in ("images", "semantic", "regions"):
            for path in sorted((folder / "data" / part).glob("?.png")):
                with Image.open(path) as image:
                    pixels = np.array(image)
                if part == "images":
                    pixels[0, 0] = copy + 1
                Image.fromarray(pixels).save(path.with_stem(f"{path.stem}-{copy}"))


def named_twice(generator: Random, folder: Path) -> None:
    """Two classes of one name."""
    content = _declared(folder)
    one, other = generator.sample(content["classes"], 2)
    one["name"] = other["name"]
    _declare(folder, content)


def hidden(generator: Random, folder: Path) -> None:
    """What systems and editors hide beside photos."""
    photos = folder / "data" / "images"
    (photos / ".ipynb_checkpoints").mkdir()
    os.link(photos / "0.png", photos / ".ipynb_checkpoints" / "0-checkpoint.png")
    for name in generator.sample(["._0.png", ".DS_Store", ".0.png.swp", ".thumbnails"], 3):
        (photos / name).write_bytes(generator.randbytes(9))


def mixed(generator: Random, folder: Path) -> None:
    """Files beside photos that are none, or of formats that Pillow only recognizes."""
    for suffix in generator.sample([".HEIC", ".h5", ".mpg", ".txt", ".eps", ".xmp"], 3):
        (folder / "data" / "images" / f"other{suffix}").write_bytes(generator.randbytes(99))


def upper(generator: Random, folder: Path) -> None:
    """Suffixes in capital letters, of photos, labels or all."""
    parts = generator.choice([["images"], ["semantic", "regions"], ["images", "semantic", "regions"]])
    for part in parts:
        for path in sorted((folder / "data" / part).iterdir()):
            path.rename(path.with_suffix(path.suffix.upper()))


def meant(generator: Random, folder: Path) -> None:
    """Regions that are something else, or a background that is one."""
    content = _declared(folder)
    content |= generator.choice([{"region": "a nucleus"}, {"background": 0}])
    _declare(folder, content)


def shrunk(_: Random, folder: Path) -> None:
    """A class less, whose pixels are void."""
    content = _declared(folder)
    content["classes"].pop()
    content["void"] = len(content["classes"])
    _declare(folder, content)


def _declared(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((folder / "data" / "classes.yaml").read_text())
    return content


def _declare(folder: Path, content: object) -> None:
    path = folder / "data" / "classes.yaml"
    path.unlink()
    path.write_text(yaml.safe_dump(content))
