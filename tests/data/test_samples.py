import signal
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from fusionseg.data.augmentation import Augmentation
from fusionseg.data.base import Pixels
from fusionseg.data.batches import collated
from fusionseg.data.input_size import InputSize
from fusionseg.data.samples import EvaluationSamples, TrainSamples, quiet_worker, resized
from fusionseg.data.synthetic import SyntheticScenes


def test_a_view_is_a_function_of_seed_epoch_and_index() -> None:
    scenes = SyntheticScenes("train", length=4)
    views = [
        TrainSamples(scenes, Augmentation(), (64, 64), seed=seed)[key]
        for seed, key in ((0, (1, 2)), (0, (1, 2)), (0, (2, 2)), (1, (1, 2)))
    ]
    assert torch.equal(views[0]["image"], views[1]["image"])
    assert not torch.equal(views[0]["image"], views[2]["image"])
    assert not torch.equal(views[0]["image"], views[3]["image"])


def test_a_plain_index_is_that_of_epoch_0() -> None:
    samples = TrainSamples(SyntheticScenes("train", length=4), Augmentation(), (64, 64))
    assert torch.equal(samples[2]["image"], samples[0, 2]["image"])


def test_evaluation_shows_the_whole_image_and_knows_its_truth() -> None:
    scenes = SyntheticScenes("val", length=3)
    samples = EvaluationSamples(scenes)
    sample = samples[2]
    pixels = scenes.read(2)
    assert np.array_equal(sample["image"].permute(1, 2, 0).numpy(), pixels.image)
    assert np.array_equal(samples.truth(sample["index"]).region, pixels.region)
    assert samples.classes is scenes.classes
    assert collated([sample])["index"].tolist() == [2]


def test_scale_resizes_the_image_and_its_labels_but_not_the_truth() -> None:
    samples = EvaluationSamples(SyntheticScenes("val", length=1, size=(90, 64)), scale=0.5)
    assert samples[0]["image"].shape == (3, 45, 32)
    assert samples[0]["semantic"].shape == (45, 32)
    assert samples.truth(0).semantic.shape == (90, 64)


def test_resizing_takes_labels_at_pixel_centers_and_averages_the_image() -> None:
    rng = np.random.default_rng(0)
    given = Pixels(
        rng.integers(0, 256, (9, 12, 4), dtype=np.uint8),
        rng.integers(0, 9, (9, 12), dtype=np.uint8),
        rng.integers(0, 60000, (9, 12), dtype=np.uint16),
    )
    third = resized(given, InputSize(1 / 3))
    assert np.array_equal(third.region, given.region[1::3, 1::3])
    assert np.array_equal(third.semantic, given.semantic[1::3, 1::3])
    blocks = given.image.reshape(3, 3, 4, 3, 4).mean((1, 3))
    assert np.abs(third.image - blocks).max() <= 0.6
    double = resized(given, InputSize(2.0))
    assert np.array_equal(double.region, given.region.repeat(2, 0).repeat(2, 1))
    assert double.image.shape == (18, 24, 4)


def test_any_number_of_channels_is_resized_alike() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 6), np.uint8)
    labels = np.zeros((40, 60), np.uint8)
    small = resized(Pixels(image, labels, labels.astype(np.uint16)), InputSize(0.7))
    for i in range(6):
        alone = cv2.resize(np.ascontiguousarray(image[..., i]), (42, 28), interpolation=cv2.INTER_AREA)
        assert np.array_equal(small.image[..., i], alone)


DeepScenes = partial(SyntheticScenes, depth=True, normals=True)


def test_evaluation_resizes_further_maps_to_the_nearest_pixel_but_not_their_truth() -> None:
    scenes = DeepScenes("val", length=2, size=(48, 72))
    samples, maps = EvaluationSamples(scenes, scale=1 / 3), scenes.read(1).maps
    assert samples.kinds == ("depth", "normals")
    assert np.array_equal(samples[1]["depth"].numpy(), maps["depth"][1::3, 1::3])
    assert np.array_equal(samples[1]["normals"].permute(1, 2, 0).numpy(), maps["normals"][1::3, 1::3])
    truth = samples.truth(1).maps
    assert np.array_equal(truth["depth"], maps["depth"])
    assert np.array_equal(truth["normals"].transpose(1, 2, 0), maps["normals"])


class IgnoresInterrupts(Dataset[bool]):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> bool:
        return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_workers_leave_ctrl_c_to_the_process_that_they_work_for() -> None:
    loader = DataLoader(IgnoresInterrupts(), num_workers=1, worker_init_fn=quiet_worker)
    assert list(loader) == [torch.tensor([True])]


class Ended(SyntheticScenes):
    def read(self, index: int) -> Pixels:
        return super().read(index if index < 2 else next(iter([])))


@pytest.mark.parametrize("workers", [0, 1])
def test_images_after_one_whose_reading_stops_an_iteration_are_not_left_out(workers: int) -> None:
    for samples in (EvaluationSamples(Ended("val")), TrainSamples(Ended("train"), Augmentation(), (64, 96))):
        loader = DataLoader(samples, batch_size=None, num_workers=workers)
        with pytest.raises(RuntimeError, match=r"__getitem__ raised StopIteration"):
            list(loader)
