from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest

from fusionseg.corruptions import CORRUPTIONS, Corruption
from fusionseg.data.base import channels_first
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.subset import Subset
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.robustness.corrupted import Corrupted
from fusionseg.sample import Truth

BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}
every = pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda c: c.name)


def scenes(length: int = 2) -> SyntheticScenes:
    return SyntheticScenes("val", length, (60, 84), depth=True, normals=True)


@every
def test_labels_and_truth_are_those_of_the_corrupted_pixels(corruption: Corruption) -> None:
    dataset = Corrupted(scenes(), corruption, 3)
    clean = scenes().read(1)
    pixels, labels, truth = dataset.read(1), dataset.labels(1), dataset.truth(1)
    assert not np.array_equal(pixels.image, clean.image)
    assert np.array_equal(pixels.semantic, clean.semantic) == (corruption.labels is None)
    for other in (labels, truth):
        assert np.array_equal(other.semantic, pixels.semantic)
        assert np.array_equal(other.region, pixels.region)
    assert [plane.dtype for plane in pixels[:3]] == [plane.dtype for plane in clean[:3]]
    for kind, plane in channels_first(pixels.maps).items():
        assert plane.dtype == np.float32
        assert np.array_equal(truth.maps[kind], plane)
        assert np.array_equal(channels_first(labels.maps)[kind], plane)


@every
def test_what_happens_to_an_image_depends_on_its_name_alone(corruption: Corruption) -> None:
    whole = Corrupted(scenes(5), corruption, 2)
    part = Corrupted(Subset(scenes(5), [4, 1]), corruption, 2)
    assert np.array_equal(part.read(0).image, whole.read(4).image)
    assert np.array_equal(part.read(1).image, whole.read(1).image)


def test_images_severities_corruptions_and_seeds_have_chances_of_their_own() -> None:
    chances = {
        Corrupted(scenes(), BY_NAME[name], severity, seed).seed_of(index)
        for name in ("fog", "rotation")
        for severity in (1, 2)
        for seed in (0, 1)
        for index in (0, 1)
    }
    assert len(chances) == 16


class Annotated(SyntheticScenes):
    """Scenes with all that only evaluation needs."""

    def truth(self, index: int) -> Truth:
        truth = super().truth(index)
        crowd = np.where(truth.region == 1, 2, 255).astype(np.uint8)
        return replace(truth, crowd=crowd, others=(truth.region + 100,), has_regions=False)

    def annotation(self, index: int, rng: Any) -> Any:
        return self.labels(index).region


@pytest.mark.parametrize("name", ["rotation", "perspective", "occlusion"])
def test_crowds_and_the_regions_of_all_annotators_move_along(name: str) -> None:
    dataset = Corrupted(Annotated("val", 1, (60, 84)), BY_NAME[name], 4)
    truth = dataset.truth(0)
    known = truth.region > 0
    assert not known.all()
    assert truth.crowd is not None
    assert np.array_equal(truth.crowd == 2, truth.region == 1)
    assert np.array_equal(truth.others[0], np.where(known, truth.region + 100, 0))
    assert not truth.has_regions
    assert np.array_equal(dataset.annotation(0, np.random.default_rng(0)), truth.region)
    plain = Corrupted(Annotated("val", 1, (60, 84)), BY_NAME["fog"], 4)
    assert np.array_equal(plain.truth(0).others[0], Annotated("val", 1, (60, 84)).truth(0).others[0])


@pytest.mark.parametrize("name", ["fog", "rotation"])
def test_images_are_corrupted_before_they_are_scaled_and_workers_make_no_difference(name: str) -> None:
    batches = []
    for workers in (0, 2):
        data = SegmentationDataModule(
            partial(SyntheticScenes, length=3, size=(60, 84)), scale=0.5, workers=workers
        )
        data.setup("validate")
        data.datasets["val"] = Corrupted(data.datasets["val"], BY_NAME[name], 3)
        batches.append([batch["image"].numpy() for batch in data.val_dataloader()])
    assert all(np.array_equal(a, b) for a, b in zip(*batches, strict=True))
    stored = Corrupted(SyntheticScenes("val", 3, (60, 84)), BY_NAME[name], 3).read(2).image
    expected = cv2.resize(stored, (42, 30), interpolation=cv2.INTER_AREA)
    assert np.array_equal(batches[0][2][0].transpose(1, 2, 0), expected)


def test_images_of_a_cache_are_left_as_they_are(datamodule: Any) -> None:
    data = datamodule(cache="memory")
    data.setup("validate")
    clean = data.datasets["val"].read(0).image.copy()
    for corruption in CORRUPTIONS:
        Corrupted(data.datasets["val"], corruption, 5).read(0)
    assert np.array_equal(data.datasets["val"].read(0).image, clean)
