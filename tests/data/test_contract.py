"""What holds for every dataset, on real data where the class needs some."""

import importlib
import inspect
import os
import pkgutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fusionseg.data
from fusionseg.data.ade20k import ADE20K
from fusionseg.data.base import SegmentationDataset, Split, channels_first
from fusionseg.data.bsds500 import BSDS500
from fusionseg.data.cache import _Cached
from fusionseg.data.camvid import CamVid
from fusionseg.data.camvid32 import CamVid32
from fusionseg.data.cityscapes import Cityscapes
from fusionseg.data.class_folders import ClassFolders
from fusionseg.data.class_table import ClassTable
from fusionseg.data.coco_panoptic import CocoPanoptic
from fusionseg.data.download_parts import DownloadPart
from fusionseg.data.dsb2018 import DSB2018
from fusionseg.data.folder import Folder
from fusionseg.data.libmtl_arrays import LibMTLArrays
from fusionseg.data.mixture import MixtureDataset
from fusionseg.data.nyuv2 import NYUv2
from fusionseg.data.nyuv2_copy import NYUv2Copy
from fusionseg.data.pascal_context import PascalContext
from fusionseg.data.pascal_voc import PascalVOC
from fusionseg.data.rgbd import RGBD
from fusionseg.data.stanford_background import StanfordBackground
from fusionseg.data.subset import Subset
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.data.unlabelled_images import Photos
from fusionseg.sample import VOID

REAL: dict[type[SegmentationDataset], str] = {
    BSDS500: "BSDS500",
    CamVid: "CamVid",
    CocoPanoptic: "coco_panoptic",
    DSB2018: "dsb2018",
}
FAKES: dict[type[SegmentationDataset], tuple[str, dict[str, Any]]] = {
    ADE20K: ("ade20k", {}),
    CamVid32: ("camvid32", {"min_area": 5}),
    Cityscapes: ("cityscapes", {"disparity": True}),
    LibMTLArrays: ("libmtl_nyuv2", {"copy": "nyuv2"}),
    NYUv2: ("nyu", {"val_scenes": 0.5}),
    PascalContext: ("context", {}),
    PascalVOC: ("voc", {}),
    StanfordBackground: ("stanford", {}),
}
"""The fixtures that write files in the official layout, as real ones are too few or none, and further arguments."""
WITHOUT_CLASSES = (BSDS500, ClassFolders, ClassTable)
WITHOUT_REGIONS = (ClassFolders, ClassTable)
Recipe = Callable[[Split], SegmentationDataset]


def subclasses() -> list[type[SegmentationDataset]]:
    """Every dataset of the package, found by importing its modules."""
    found = set()
    for module in pkgutil.iter_modules(fusionseg.data.__path__, "fusionseg.data."):
        for _, member in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(member, SegmentationDataset) and not inspect.isabstract(member):
                found.add(member)
    selections = {Subset, *Subset.__subclasses__(), *_Cached.__subclasses__()} - {RGBD}
    # photos without labels have their own tests
    return sorted(found - selections - {Photos}, key=lambda c: c.__name__)


@pytest.fixture(params=subclasses(), ids=lambda c: c.__name__)
def recipe(request: pytest.FixtureRequest, folder: Callable[..., Path]) -> Recipe:
    kind = request.param
    if kind is SyntheticScenes:
        return lambda split: SyntheticScenes(split, length=6, depth=True, normals=True)
    if kind is Folder:
        top = folder()
        return lambda split: Folder(split, top, test_fraction=0.2)
    if kind in (ClassFolders, ClassTable):
        top = request.getfixturevalue("class_folders")()
        if kind is ClassFolders:
            return lambda split: ClassFolders(split, top)
        table = request.getfixturevalue("class_table")(top)
        return lambda split: ClassTable(split, table, several=True)
    if kind is MixtureDataset:
        parts = {
            "scenes": partial(SyntheticScenes, length=6, normals=True),
            "mine": partial(Folder, root=folder(), test_fraction=0.2),
        }
        return lambda split: MixtureDataset(split, parts)
    if kind is RGBD:
        scenes = partial(SyntheticScenes, length=6, depth=True)
        return lambda split: RGBD(split, scenes)
    if kind is NYUv2Copy:
        copy = request.getfixturevalue("nyu_copy")("NYUD_MT")
        return lambda split: NYUv2Copy(split, copy, normals=True)
    if kind in FAKES:
        name, arguments = FAKES[kind]
        fake = request.getfixturevalue(name)
        return lambda split: kind(split, fake, **arguments)
    if (root := os.environ.get("FUSIONSEG_DATA")) is None:
        pytest.skip("FUSIONSEG_DATA is not set: no real images to read")
    return lambda split: kind(split, f"{root}/{REAL[kind]}")


def some(dataset: SegmentationDataset) -> range:
    return range(0, len(dataset), max(1, len(dataset) // 6))


def test_pixels_have_the_shapes_types_and_ids_that_are_promised(recipe: Recipe) -> None:
    for split in recipe("train").splits:
        dataset = recipe(split)
        for index in some(dataset):
            image, semantic, region, maps = dataset.read(index)
            assert image.shape == (*semantic.shape, dataset.channels)
            assert semantic.shape == region.shape
            assert image.dtype == (
                np.uint16 if dataset.depth_limit else np.float32 if dataset.value_range else np.uint8
            )
            assert [plane.dtype.name for plane in (semantic, region)] == ["uint8", "uint16"]
            assert np.isin(semantic, [*range(len(dataset.classes)), VOID]).all()
            assert (semantic != VOID).any() != isinstance(dataset, WITHOUT_CLASSES)
            assert region.any() != isinstance(dataset, WITHOUT_REGIONS)
            assert tuple(maps) == dataset.kinds
            for plane in maps.values():
                assert plane.shape[:2] == semantic.shape
                assert plane.dtype == np.float32


def test_the_size_of_an_image_is_known_before_it_is_read(recipe: Recipe) -> None:
    dataset = recipe("val")
    selected = Subset(dataset, [len(dataset) - 1, 0])
    for index in some(dataset):
        assert dataset.image_size(index) == dataset.read(index).semantic.shape
    assert selected.image_size(1) == dataset.image_size(0)


def test_labels_and_truth_are_those_of_the_pixels(recipe: Recipe) -> None:
    dataset = recipe("train")
    for index in some(dataset):
        pixels, labels, truth = dataset.read(index), dataset.labels(index), dataset.truth(index)
        for semantic, region in ((labels.semantic, labels.region), (truth.semantic, truth.region)):
            assert np.array_equal(semantic, pixels.semantic)
            assert np.array_equal(region, pixels.region)
        assert labels.maps.keys() == truth.maps.keys() - {"scene"} == pixels.maps.keys()
        for kind, plane in channels_first(pixels.maps).items():
            assert np.array_equal(channels_first(labels.maps)[kind], plane)
            assert np.array_equal(truth.maps[kind], plane)


def test_regions_lie_within_one_class(recipe: Recipe) -> None:
    dataset = recipe("val")
    for index in some(dataset):
        semantic, region, _ = dataset.labels(index)
        pairs = np.unique(semantic[region > 0].astype(int) * 65536 + region[region > 0])
        assert len(pairs) == len(np.unique(pairs % 65536))


def test_names_are_unique_in_all_splits_and_can_be_files(recipe: Recipe) -> None:
    datasets = [recipe(split) for split in recipe("train").splits]
    names = [dataset.name(i) for dataset in datasets for i in range(len(dataset))]
    assert len(names) == len(set(names))
    assert all(not set(part) & set('\\:*?"<>| ') for name in names for part in name.split("/"))
    assert all(part not in ("", ".", "..") for name in names for part in name.split("/"))


def test_classes_are_the_same_in_all_splits(recipe: Recipe) -> None:
    assert len({recipe(split).classes for split in recipe("train").splits}) == 1


def test_sources_tell_splits_apart(recipe: Recipe) -> None:
    train, val = recipe("train"), recipe("val")
    assert train.sources() == recipe("train").sources()
    assert (train.split, train.sources()) != (val.split, val.sources())
    assert all(source.is_file() for source in train.sources() if isinstance(source, Path))


def test_every_reader_of_a_download_counts_what_is_there_of_it(recipe: Recipe) -> None:
    dataset = recipe("train")
    assert bool(dataset.download) == bool(dataset.verified)
    assert all(0 < part.found <= part.official for part in dataset.download)


def test_a_selection_and_a_mixture_keep_the_groups() -> None:
    class Sequences(SyntheticScenes):
        def group(self, index: int) -> str | None:
            return None if index == 3 else f"sequence {index // 2}"

    scenes = partial(Sequences, length=4)
    assert [Subset(scenes("val"), [2, 0, 3]).group(i) for i in range(3)] == ["sequence 1", "sequence 0", None]
    mixed = MixtureDataset("val", {"mine": scenes, "plain": partial(SyntheticScenes, length=1)})
    assert [mixed.group(i) for i in (0, 2, 3, 4)] == ["mine-sequence 0", "mine-sequence 1", None, None]


def test_a_selection_and_a_mixture_say_what_their_parts_were_checked_on() -> None:
    class Downloaded(SyntheticScenes):
        verified = "checked on all scenes"
        download = (DownloadPart("scenes.zip", "scenes", 4, 4),)

    scenes = partial(Downloaded, length=4)
    selected = Subset(scenes("val"), [2])
    assert (selected.verified, selected.download) == (Downloaded.verified, Downloaded.download)
    mixed = MixtureDataset("val", {"mine": scenes, "plain": partial(SyntheticScenes, length=1)})
    assert mixed.verified == "mine: checked on all scenes"
    assert mixed.download == (DownloadPart("mine: scenes.zip", "scenes", 4, 4),)
