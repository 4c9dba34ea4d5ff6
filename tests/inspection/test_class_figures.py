import math
from functools import partial

import numpy as np
import pytest

from fusionseg.data import SyntheticScenes
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.inspection.class_figures import absent, balanced_weights, class_figures, imbalance
from fusionseg.inspection.image_facts import Regions
from fusionseg.inspection.split_facts import SplitFacts
from fusionseg.sample import VOID, Classes

CLASSES = Classes(("road", "car", "dog", "sky"), ((1, 2, 3),) * 4, things=(1, 2))
NO_REGIONS = Regions(*(np.zeros(0, np.int64) for _ in range(5)), np.zeros(0, bool))
THREE = Regions(
    np.array([1, VOID, 1, 0]),
    np.array([10, 50, 30, 7]),
    *(np.ones(4, np.int64) for _ in range(3)),
    np.zeros(4, bool),
)


def facts(*pixels: int, regions: Regions = NO_REGIONS) -> SplitFacts:
    """Four images with so many pixels of each class, each class in as many images as its place says."""
    counts = np.array(pixels)
    return SplitFacts(
        total=4,
        sizes=np.full((4, 2), 10),
        class_pixels=counts,
        class_images=np.arange(len(counts)),
        epoch_pixels=counts,
        labelled={"semantic": int(counts.sum())},
        labelled_images={"semantic": 4},
        regions=regions,
        region_numbers=np.zeros(4, np.int64),
        photos=[],
    )


def test_shares_are_of_the_labelled_pixels_and_of_all_images() -> None:
    found = class_figures(facts(60, 30, 0, 10), CLASSES)
    assert [one.pixels for one in found] == [0.6, 0.3, 0, 0.1]
    assert [one.images for one in found] == [0, 0.25, 0.5, 0.75]


def test_only_things_have_instances_which_are_regions_of_their_class() -> None:
    found = class_figures(facts(60, 30, 0, 10, regions=THREE), CLASSES)
    assert [(one.instances, one.area) for one in found] == [(None, None), (2, 20.0), (0, None), (None, None)]


def test_balanced_weights_are_the_median_share_over_the_share_and_0_where_nothing_is() -> None:
    assert balanced_weights(facts(60, 30, 0, 10)) == pytest.approx([0.5, 1, 0, 3])


def test_balanced_weights_are_those_that_a_training_sets() -> None:
    data = SegmentationDataModule(partial(SyntheticScenes, length=8, size=(32, 32)), workers=0)
    counts = data.class_counts().numpy()
    assert balanced_weights(facts(*counts)) == pytest.approx(np.median(counts[counts > 0]) / counts)


def test_imbalance_is_of_classes_that_occur() -> None:
    assert imbalance(facts(60, 30, 0, 10)) == 6
    assert absent(facts(60, 30, 0, 10), CLASSES) == ["dog"]


def test_without_labels_there_are_neither_shares_nor_weights() -> None:
    empty = facts(0, 0, 0, 0)
    assert all(math.isnan(one.pixels) for one in class_figures(empty, CLASSES))
    assert balanced_weights(empty) is None
    assert math.isnan(imbalance(empty))
