"""Every part has a public path that stays where it is when its file moves."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from typing import Any

import pytest
from lightning.pytorch import Callback
from torch.optim.lr_scheduler import LRScheduler

import fusionseg
from fusionseg.balancing import Balancer
from fusionseg.config.recipe import import_path, plain
from fusionseg.data.base import SegmentationDataset
from fusionseg.data.sampling import Sampling
from fusionseg.data.view_changes import ViewChange
from fusionseg.heads import Head
from fusionseg.losses import Loss
from fusionseg.networks import Backbone, Decoder, Network
from fusionseg.regularization import Regularizer
from fusionseg.untrained import Method

BASES: list[Any] = [
    Head,
    Loss,
    Balancer,
    Network,
    Decoder,
    Regularizer,
    SegmentationDataset,
    Sampling,
    ViewChange,
    Method,
    Callback,
    LRScheduler,
]
PACKAGES = [
    "balancing",
    "callbacks",
    "data",
    "engine",
    "heads",
    "losses",
    "networks",
    "regularization",
    "untrained",
]
"""The packages that have parts."""


WRAPPERS = {
    "Corrupted",
    "DiskCache",
    "MappedClasses",
    "MemoryCache",
    "Photos",
    "UnlabelledMixture",
    "WithoutLabels",
}
"""Datasets that no configuration names, because others make them."""


def concrete(base: Any) -> set[Any]:
    below = {kind for inner in type.__subclasses__(base) for kind in concrete(inner)}
    return below if inspect.isabstract(base) else {base, *below}


def parts() -> list[Any]:
    """Every concrete part that is defined in the package, by import of all its files."""
    for module in pkgutil.walk_packages(fusionseg.__path__, "fusionseg."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = {kind for base in BASES for kind in concrete(base)}
    ours = [kind for kind in found if kind.__module__.startswith("fusionseg.")]
    named = [kind for kind in ours if kind.__name__ not in WRAPPERS and not kind.__name__.startswith("_")]
    return sorted([*named, Backbone], key=lambda kind: str(kind.__qualname__))


@pytest.mark.parametrize("part", parts(), ids=lambda part: part.__name__)
def test_a_part_is_named_by_its_package(part: Any) -> None:
    path = plain(part)["class_path"]  # type: ignore[index, call-overload]
    package, _, name = str(path).rpartition(".")
    assert name == part.__name__
    assert package in ["fusionseg", *(f"fusionseg.{inner}" for inner in PACKAGES)]
    home = importlib.import_module(package)
    assert getattr(home, name) is part
    assert name in home.__all__


@pytest.mark.parametrize("package", ["fusionseg", *(f"fusionseg.{package}" for package in PACKAGES)])
def test_what_a_package_exports_has_its_path(package: str) -> None:
    home = importlib.import_module(package)
    for name in home.__all__:
        assert import_path(getattr(home, name)) == f"{package}.{name}"


def test_parts_of_every_kind_are_found() -> None:
    found = parts()
    for base in BASES:
        assert any(issubclass(part, base) for part in found), base
    assert len(found) > 40


@pytest.mark.slow
def test_importing_a_package_is_cheap_beside_lightning() -> None:
    # torchmetrics, which Lightning needs, imports matplotlib
    heavy = ["matplotlib.figure", "wandb", "segmentation_models_pytorch", "timm", "torchjd", "skimage"]
    code = f"""
import importlib, sys, lightning.pytorch
known = set(sys.modules)
for package in {PACKAGES}:
    importlib.import_module("fusionseg." + package)
    print(package, [name for name in {heavy} if name in sys.modules.keys() - known])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{package} []" for package in PACKAGES]
