"""Imports only go down: a file knows what is on the floors below its own, and the rest of its own folder."""

import ast
from pathlib import Path

import fusionseg

FLOORS = [
    "sample chance",
    "files quiet ranks recipe weights usage starting",
    "running gradients regions decoding losses visualize curves fusion label_files objective",
    "backbone heads balancing metrics data optimization",
    "networks answers",
    "measured taps",
    "balanced",
    "module",
    "restore tracking manual table filled",
    "batch_norm checkpoints callbacks resume",
    "trainer",
    "cli",
    "fit evaluate predict __init__",
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names.split()}
ALLOWED = {
    "lightning": {"data/datamodule"},
    "segmentation_models_pytorch": {"backbone"},
    "wandb": {"tracking"},
    "matplotlib": {"curves"},
    "scipy": {"decoding", "data/bsds500"},
    "torchjd": {"balancing/foreign"},
}
"""Where else than on which floors a library may be imported; libraries that are not named may be anywhere."""
NOWHERE = {"skimage", "torchmetrics", "timm"}
ROOT = Path(fusionseg.__file__).parent


def imports() -> list[tuple[str, str]]:
    """Every file of the package, by its path without suffix, with each module that it imports anywhere in its code."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path} imports relatively"
                names = [node.module or ""]
            found += [(path.relative_to(ROOT).with_suffix("").as_posix(), name) for name in names]
    return found


def test_every_file_has_a_floor() -> None:
    parts = {
        p.stem if p.is_file() else p.name for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()
    }
    assert parts == set(FLOOR)


def test_imports_only_go_down() -> None:
    up = []
    for file, module in imports():
        own, (package, *target) = file.split("/")[0], [*module.split("."), "__init__"][:2]
        if package == "fusionseg" and target != [own] and FLOOR[target[0]] >= FLOOR[own]:
            up.append(f"{file} imports {module}")
    assert not up


def test_libraries_stay_where_they_belong() -> None:
    strays = []
    for file, module in imports():
        library, floor = module.split(".")[0], FLOOR.get(file.split("/")[0], 0)
        allowed = file in ALLOWED.get(library, {file}) or (library == "lightning" and floor >= FLOOR["measured"])
        if library in NOWHERE or not allowed:
            strays.append(f"{file} imports {module}")
    assert not strays
