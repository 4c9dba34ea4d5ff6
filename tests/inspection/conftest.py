"""Pages of small data sets with labels of several kinds, of classes alone and of regions alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionseg.commands.inspect import main
from fusionseg.data import SyntheticScenes
from fusionseg.sample import VOID

VIEWS = ["--data.workers", "0", "--data.crop_size", "[64, 64]", "--data.batch_size", "2", "--images", "2"]
CLASSES = """classes: [{name: sky}, {name: "</script><b>&'"}, {name: disk, thing: true}, {name: square, thing: true},
  {name: triangle, thing: true}, {name: star, thing: true}, {name: nowhere}]
"""


def folder(root: Path, semantic: bool, regions: bool) -> list[str]:
    """Writes six scenes, a class of which is missing in val, and returns the arguments that name them."""
    scenes = SyntheticScenes("train", 6, (64, 64))
    for part in ("images", *(["semantic"] if semantic else []), *(["regions"] if regions else [])):
        (root / part).mkdir(parents=True)
    for i in range(6):
        image, classes, region, _ = scenes.read(i)
        if i > 3:
            classes = np.where(classes == 2, VOID, classes).astype(np.uint8)
        Image.fromarray(image).save(root / "images" / f"{i}.png")
        if semantic:
            Image.fromarray(classes).save(root / "semantic" / f"{i}.png")
        if regions:
            Image.fromarray(region).save(root / "regions" / f"{i}.png")
    (root / "classes.yaml").write_text(CLASSES)
    (root / "train.txt").write_text("0\n1\n2\n3\n")
    (root / "val.txt").write_text("4\n5\n")
    return ["--data.dataset", "Folder", "--data.dataset.root", str(root)]


def scenes(root: Path) -> list[str]:
    """The arguments of scenes with depth and normals, of which not all are counted."""
    return [
        *("--data.dataset", "SyntheticScenes", "--data.dataset.length", "6", "--limit", "4"),
        *(
            "--data.dataset.size",
            "[64, 64]",
            "--data.dataset.depth",
            "true",
            "--data.dataset.normals",
            "true",
        ),
    ]


KINDS: dict[str, Callable[[Path], list[str]]] = {
    "scenes": scenes,
    "both": lambda root: folder(root, True, True),
    "classes": lambda root: folder(root, True, False),
    "regions": lambda root: folder(root, False, True),
}


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Writes the page of a kind of data, once."""
    known: dict[str, Path] = {}

    def page(kind: str) -> Path:
        if kind not in known:
            root = tmp_path_factory.mktemp(kind)
            main([*KINDS[kind](root / "data"), *VIEWS, "--out", str(root / "out")])
            known[kind] = root / "out" / "inspect.html"
        return known[kind]

    return page
