from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fusionseg.data import (
    BalancedSampling,
    CocoPanoptic,
    MixtureDataset,
    SegmentationDataset,
    SyntheticScenes,
)
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.inspection.split_facts import SplitFacts, split_facts

SCENES = partial(SyntheticScenes, length=20, size=(32, 32))


def same(a: SplitFacts, b: SplitFacts) -> bool:
    """Whether all counts are equal."""
    arrays = [
        [
            facts.sizes,
            facts.class_pixels,
            facts.class_images,
            facts.epoch_pixels,
            facts.region_numbers,
            *facts.regions,
        ]
        for facts in (a, b)
    ]
    equal = all(np.array_equal(x, y) for x, y in zip(*arrays, strict=True))
    return equal and (a.labelled, a.labelled_images) == (b.labelled, b.labelled_images)


@pytest.mark.slow
def test_processes_change_nothing() -> None:
    dataset = SCENES("train")
    assert same(split_facts(dataset, workers=0), split_facts(dataset, workers=2))


def test_all_images_are_counted_or_some_that_are_drawn_by_the_seed() -> None:
    dataset = SCENES("val")
    whole = split_facts(dataset, workers=0)
    assert (whole.images, whole.total, whole.pixels) == (20, 20, 20 * 32 * 32)
    assert same(whole, split_facts(dataset, limit=20, workers=0))
    some = split_facts(dataset, limit=7, workers=0)
    assert (some.images, some.total) == (7, 20)
    assert same(some, split_facts(dataset, limit=7, workers=0))
    assert not same(some, split_facts(dataset, limit=7, workers=0, seed=1))


def test_sums_are_those_of_the_images() -> None:
    dataset = SCENES("val")
    facts = split_facts(dataset, workers=0)
    labels = [dataset.labels(i) for i in range(20)]
    semantic = np.stack([one.semantic for one in labels])
    for i in range(6):
        assert facts.class_pixels[i] == (semantic == i).sum()
        assert facts.class_images[i] == (semantic == i).any((1, 2)).sum()
    assert facts.region_numbers.tolist() == [len(np.unique(one.region)) for one in labels]
    assert facts.regions.area.sum() == facts.labelled["region"] == facts.pixels
    assert facts.labelled_images == {"semantic": 20, "region": 20}


def test_an_epoch_counts_images_as_often_as_training_draws_them() -> None:
    parts = {"a": partial(SCENES, length=6), "b": partial(SCENES, length=6, seed=9)}
    names = SyntheticScenes.classes.names
    data = SegmentationDataModule(
        partial(
            MixtureDataset,
            datasets=parts,
            weights={"a": 1.0, "b": 3.0},
            classes={name: {one: one for one in names} for name in parts},
            epoch_length=16,
        ),
        seed=5,
        workers=0,
    )
    data.setup("fit")
    facts = split_facts(data.datasets["train"], workers=0, seed=data.seed)
    assert facts.epoch_pixels.tolist() == data.class_counts().tolist()
    assert facts.epoch_pixels.sum() == 16 * 32 * 32
    assert facts.class_pixels.sum() == 12 * 32 * 32


def test_an_epoch_is_one_of_the_sampling() -> None:
    data = SegmentationDataModule(SCENES, seed=5, workers=0, sampling=partial(BalancedSampling, power=4))
    data.setup("fit")
    facts = split_facts(data.datasets["train"], workers=0, seed=data.seed, repeats=data.repeats)
    assert facts.epoch_pixels.tolist() == data.class_counts().tolist()
    assert facts.epoch_pixels.sum() == facts.class_pixels.sum() == 20 * 32 * 32
    assert facts.epoch_pixels.tolist() != facts.class_pixels.tolist()


class Broken(SyntheticScenes):
    """Scenes of which one cannot be read."""

    def labels(self, index: int):  # type: ignore[no-untyped-def]
        if index == 3:
            raise KeyError("no such thing")
        return super().labels(index)


def test_an_error_of_a_dataset_s_own_code_is_none_that_the_user_can_mend() -> None:
    with pytest.raises(RuntimeError, match="KeyError: 'no such thing'"):
        split_facts(Broken("val", 40, (32, 32)), workers=0)


# 1111 segments in train, 6 of them crowds, which are no regions; 746 things with the crowds; 10.0 % void; 119 categories;
# for val 1078, 5, 712, 9.6 % and 124: counted in the JSON files and PNG files of these images
COCO = {"train": (1105, 740, 0.100, 119), "val": (1073, 707, 0.096, 124)}


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "val"])
def test_coco_s_segments_things_and_void_are_those_of_its_json_file(split: str, data: Path) -> None:
    dataset: SegmentationDataset = CocoPanoptic(split, data / "coco_panoptic")  # type: ignore[arg-type]
    facts = split_facts(dataset)
    regions, things, void, categories = COCO[split]
    assert len(facts.regions.area) == regions
    assert np.isin(facts.regions.label, dataset.classes.things).sum() == things
    assert round(1 - facts.labelled["semantic"] / facts.pixels, 3) == void
    assert (facts.class_pixels > 0).sum() == categories
    assert (facts.class_images > 0).sum() == categories
    assert len(facts.photos) == 25
