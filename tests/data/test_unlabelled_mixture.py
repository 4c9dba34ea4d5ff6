"""Images without labels take turns with those with labels, whatever ranks, epochs and fractions there are."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusionseg.data.base import DataError
from fusionseg.data.class_counts import class_counts
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.label_statistics import counted
from fusionseg.data.samplers import TrainOrder
from fusionseg.data.subset import fraction_of
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.data.unlabelled_images import WithoutLabels
from fusionseg.data.unlabelled_mixture import Unlabelled, UnlabelledMixture, training_images
from fusionseg.sample import VOID

SCENES = SyntheticScenes("train", length=24, size=(32, 32))


class Shown(SyntheticScenes):
    """Has labels of whole images."""

    classes = replace(SyntheticScenes.classes, per_image="any")


def mixture(labelled: int, others: int, share: float) -> UnlabelledMixture:
    few = WithoutLabels(SyntheticScenes("train", length=others), range(others))
    return UnlabelledMixture(SyntheticScenes("train", length=labelled), [few], share)


def test_each_batch_has_its_share_of_both() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        labelled, others, window = rng.integers(1, 40, 3)
        share = rng.uniform(0.05, 0.95)
        order = mixture(labelled, others, share).order(rng, np.arange(labelled + others))
        without = order >= labelled
        assert sorted(order[~without]) == list(range(labelled))
        assert abs(without.sum() - share * len(order)) <= 1
        assert without.any()
        often = np.bincount(order[without] - labelled, minlength=others)
        assert often.max() - often.min() <= 1
        found = [without[begin : begin + window].sum() for begin in range(len(order) - window + 1)]
        assert not found or max(found) - min(found) <= 1


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_all_ranks_see_both(ranks: int) -> None:
    data = mixture(8, 5, 0.5)
    order = partial(data.order, among=np.arange(len(data)))
    length = len(order(np.random.default_rng(0)))
    for rank in range(ranks):
        keys = np.array(list(TrainOrder(length, 8 // ranks, rank, ranks, order=order)))
        batches = keys[:, 1].reshape(-1, 8 // ranks) >= 8
        assert (batches.mean(1) == 0.5).all()


def test_the_images_that_a_fraction_leaves_out_come_without_labels() -> None:
    few = fraction_of(SCENES, 0.3, 1)
    found = training_images(SCENES, 0.3, 1, Unlabelled())
    names = list(map(found.name, range(len(found))))
    assert names[: len(few)] == list(map(few.name, range(len(few))))
    assert sorted(names) == sorted(map(SCENES.name, range(24)))
    assert [found.has_labels(i) for i in range(24)] == [i < len(few) for i in range(24)]
    assert (found.read(len(few)).semantic == VOID).all()
    assert found.read(0).region.any()
    assert found.sources() != training_images(SCENES, 0.3, 2, Unlabelled()).sources()
    with pytest.raises(IndexError, match=r"0\.\.23, found 24"):
        found.read(24)


def test_labels_are_counted_of_images_that_have_some() -> None:
    found = training_images(SCENES, 0.3, 1, Unlabelled(share=0.9))
    statistics = counted(found, 0, lambda _: False)
    few = fraction_of(SCENES, 0.3, 1)
    assert (statistics.images, statistics.total) == (len(few), len(few))
    assert statistics.labelled["region"] == counted(few, 0, lambda _: False).labelled["region"]


def test_class_weights_are_those_of_the_labelled_images() -> None:
    scenes = partial(SyntheticScenes, length=24, size=(32, 32))
    options: dict[str, Any] = {"fraction": 0.3, "seed": 1, "crop_size": (32, 32), "workers": 0}
    plain = SegmentationDataModule(scenes, **options)
    mixed = SegmentationDataModule(scenes, unlabelled=Unlabelled(), **options)
    assert mixed.class_counts().tolist() == plain.class_counts().tolist()


def test_nothing_without_labels_is_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found none: set data.fraction below 1 or data.unlabelled.photos$"):
        training_images(SCENES, 1.0, 0, Unlabelled())
    with pytest.raises(DataError, match="expected label maps beside images without labels"):
        training_images(Shown("train", length=4), 0.5, 0, Unlabelled())
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match=r"expected data.unlabelled.share above 0 and below 1, found"):
            Unlabelled(share=share)


def test_a_weak_view_is_the_same_crop_in_its_own_colors() -> None:
    scenes = partial(SyntheticScenes, length=4, size=(64, 64))
    data = SegmentationDataModule(scenes, crop_size=(32, 32), workers=0)
    plain = data.views()[(3, 1, 0)]
    data.weak_views = True
    both = data.views()[(3, 1, 0)]
    assert {name for name in both if name not in plain} == {"weak"}
    assert (both["image"] == plain["image"]).all()
    difference = both["weak"].float() - both["image"].float()
    assert difference.abs().mean() > 2
    data.augmentation.brightness = data.augmentation.contrast = 0.0
    data.augmentation.saturation = data.augmentation.hue = 0.0
    same = data.views()[(3, 1, 0)]
    assert (same["weak"] == same["image"]).all()
    assert (same["weak"] == both["weak"]).all()


def test_counts_of_classes_are_found_again_whatever_images_without_labels_an_epoch_has(
    tmp_path: Path,
) -> None:
    found = training_images(SCENES, 0.3, 1, Unlabelled(share=0.2))
    for seed in range(3):
        class_counts(found, seed, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
