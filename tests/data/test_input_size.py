from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from fusionseg.data.augmentation import Augmentation
from fusionseg.data.base import Pixels
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.input_size import InputSize
from fusionseg.data.samples import EvaluationSamples, TrainSamples, resized
from fusionseg.data.synthetic import SyntheticScenes

Scenes = partial(SyntheticScenes, length=3, size=(60, 90), depth=True, normals=True)


@pytest.mark.parametrize(
    ("to", "size", "expected"),
    [
        (InputSize(), (60, 90), (60, 90)),
        (InputSize(0.5), (61, 90), (30, 45)),
        (InputSize(resize=45), (60, 90), (30, 45)),
        (InputSize(resize=45), (90, 60), (45, 30)),
        (InputSize(resize=180), (60, 90), (120, 180)),
        (InputSize(resize=10), (3, 900), (1, 10)),
        (InputSize(resize=(64, 32)), (60, 90), (64, 32)),
        (InputSize(resize=[64, 32]), (60, 90), (64, 32)),
    ],
)
def test_sizes_are_scaled_or_given(to: InputSize, size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert to.of(size) == expected


def test_what_it_is_can_be_said() -> None:
    said = [to.described for to in (InputSize(0.5), InputSize(resize=512), InputSize(resize=(512, 1024)))]
    assert said == ["a scale of 0.5", "a longest side of 512 pixels", "512 x 1024 pixels"]


@pytest.mark.parametrize(("resize", "size"), [((20, 45), (20, 45)), (45, (30, 45)), ((120, 90), (120, 90))])
def test_evaluation_sees_all_images_at_one_size_and_scores_them_at_their_own(
    resize: Any, size: tuple[int, int]
) -> None:
    samples = EvaluationSamples(Scenes("val"), resize=resize)
    sample, pixels = samples[1], samples.dataset.read(1)
    assert sample["image"].shape == (3, *size)
    rows = ((np.arange(size[0]) + 0.5) * 60 / size[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * 90 / size[1]).astype(int)
    nearest = np.ix_(rows, columns)
    assert np.array_equal(sample["semantic"].numpy(), pixels.semantic[nearest])
    assert np.array_equal(sample["region"].numpy(), pixels.region[nearest])
    assert np.array_equal(sample["depth"].numpy(), pixels.maps["depth"][nearest])
    assert np.array_equal(sample["normals"].permute(1, 2, 0).numpy(), pixels.maps["normals"][nearest])
    assert samples.truth(1).semantic.shape == (60, 90)


def test_an_image_that_becomes_smaller_is_averaged() -> None:
    pixels = SyntheticScenes("val", size=(60, 90)).read(0)
    small = resized(pixels, InputSize(resize=(20, 30)))
    blocks = pixels.image.reshape(20, 3, 30, 3, 3).mean((1, 3))
    assert np.abs(small.image - blocks).max() <= 0.6


def test_training_crops_are_of_the_image_at_that_size() -> None:
    scenes = Scenes("train")
    samples = TrainSamples(scenes, Augmentation.none(), (64, 96), resize=(64, 96))
    whole = resized(scenes.read(2), InputSize(resize=(64, 96)))
    assert np.array_equal(samples[0, 2]["image"].permute(1, 2, 0).numpy(), whole.image)
    assert np.array_equal(samples[0, 2]["region"].numpy(), whole.region)
    # a longest side of twice the image's is a scale of 2
    crops = [
        TrainSamples(scenes, Augmentation.none(), (32, 32), **size)[0, 1]["region"].shape
        for size in ({"resize": 180}, {"scale": 2.0})
    ]
    assert crops == [(32, 32)] * 2


def test_the_data_module_records_the_size_and_all_images_make_a_batch() -> None:
    module = SegmentationDataModule(
        Scenes, batch_size=2, crop_size=(32, 32), workers=0, resize=(64, 96), eval_batch_size=3
    )
    assert module.hparams["resize"] == [64, 96]
    module.setup("fit")
    (batch,) = module.val_dataloader()
    assert batch["image"].shape == (3, 3, 64, 96)
    assert next(iter(module.train_dataloader()))["image"].shape == (2, 3, 32, 32)
    again = SegmentationDataModule(Scenes, resize=module.hparams["resize"])
    assert again.input_size.of((5, 7)) == (64, 96)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resize": 0}, "longest side, or height and width, of 1 to 16384 pixels, found 0"),
        ({"resize": (64, 99999)}, r"found \(64, 99999\)"),
        (
            {"resize": 64, "scale": 0.5},
            r"data.resize or data.scale, found both \(64 and 0.5\): leave one out",
        ),
    ],
)
def test_impossible_sizes_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SegmentationDataModule(**arguments)


def test_a_size_keeps_normals_and_depth_as_they_are() -> None:
    """A change of resolution moves no surface."""
    scenes = Scenes("train")
    given, small = (
        TrainSamples(scenes, Augmentation.none(), (64, 96), resize=resize)[0, 0]
        for resize in ((60, 90), (30, 90))
    )
    assert set(small["depth"].unique().tolist()) <= set(given["depth"].unique().tolist())
    length = torch.linalg.vector_norm(small["normals"], dim=0)
    assert ((length == 0) | ((length - 1).abs() < 1e-5)).all()


class Streets(SyntheticScenes):
    """Scenes with disparity in place of depth."""

    def read(self, index: int) -> Pixels:
        pixels = super().read(index)
        return pixels._replace(maps={"disparity": 40 / pixels.maps["depth"].clip(1)})


def test_disparity_stays_in_pixels_of_the_original_image_at_a_size_as_at_a_scale() -> None:
    streets = Streets("train", length=1, size=(60, 90), depth=True)
    known = np.unique(streets.read(0).maps["disparity"])
    at_scale, at_size = EvaluationSamples(streets, 0.5)[0], EvaluationSamples(streets, resize=(30, 45))[0]
    assert torch.equal(at_scale["disparity"], at_size["disparity"])
    narrow = EvaluationSamples(streets, resize=(60, 30))[0]["disparity"].numpy()
    assert narrow.shape == (60, 30)
    assert np.isin(narrow, known).all()
    closer = Augmentation(scale=(2, 2), rotation=0, flip=0, depth_by_zoom=True)
    for augmentation, factor in ((Augmentation.none(), 1), (closer, 2)):
        view = TrainSamples(streets, augmentation, (32, 32), resize=(60, 30))[0, 0]["disparity"].numpy()
        assert np.isin(view, [0, *(known * np.float32(factor))]).all()
