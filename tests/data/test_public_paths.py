import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fusionseg.data
from fusionseg.data import Sampling, SegmentationDataset, ViewChange
from fusionseg.data.base import UNVERIFIED
from fusionseg.data.cache import DiskCache, MemoryCache, _Cached
from fusionseg.data.mapped_classes import MappedClasses
from fusionseg.data.unlabelled_images import Photos, WithoutLabels


def test_every_dataset_sampling_and_change_of_views_is_exported() -> None:
    parts = set()
    for module in pkgutil.iter_modules(fusionseg.data.__path__, "fusionseg.data."):
        for _, member in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(member, SegmentationDataset | Sampling | ViewChange):
                parts.add(member)
    parts -= {_Cached, MemoryCache, DiskCache, MappedClasses, Photos, WithoutLabels}
    assert {part.__name__ for part in parts} | {"Augmentation", "FrozenFeatures", "Unlabelled"} == set(
        fusionseg.data.__all__
    )
    assert all(getattr(fusionseg.data, part.__name__) is part for part in parts)


def test_the_documentation_lists_every_dataset_and_marks_those_that_are_unverified() -> None:
    page = Path(__file__).parents[2] / "docs" / "datasets.md"
    table = page.read_text(encoding="utf-8").partition("Further kinds of labels")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)", table, re.MULTILINE))
    kinds = {name: getattr(fusionseg.data, name) for name in fusionseg.data.__all__}
    parts = {name: kind for name, kind in kinds.items() if issubclass(kind, SegmentationDataset)}
    assert rows.keys() == parts.keys() - {
        "SegmentationDataset",
        "FileDataset",
        "ImageClasses",
        "Subset",
        "UnlabelledMixture",
    }
    for name, row in rows.items():
        assert ("| *unverified on the download* |" in row) == (parts[name].verified == UNVERIFIED), name


@pytest.mark.slow
def test_the_package_is_imported_without_lightning() -> None:
    code = "import sys, fusionseg.data; print([name for name in sys.modules if 'lightning' in name.lower()])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
