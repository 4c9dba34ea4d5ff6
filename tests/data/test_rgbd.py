from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from fusionseg.corruptions import CORRUPTIONS
from fusionseg.data.augmentation import Augmentation
from fusionseg.data.base import DataError, Pixels, SegmentationDataset, Split, channels_first
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.mixture import MixtureDataset
from fusionseg.data.random_corruption import RandomCorruption
from fusionseg.data.rgbd import RGBD
from fusionseg.data.samples import EvaluationSamples, TrainSamples
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.robustness.corrupted import Corrupted

SCENES = partial(SyntheticScenes, length=4, depth=True, normals=True)
LIMIT = 12.0


def scenes(split: Split = "train") -> RGBD:
    return RGBD(split, SCENES, LIMIT)


def test_depth_is_the_fourth_channel_and_all_labels_stay() -> None:
    plain, dataset = SCENES("train"), scenes()
    assert (dataset.channels, dataset.kinds, dataset.depth_limit) == (4, ("depth", "normals"), LIMIT)
    for index in range(4):
        image, *labels = dataset.read(index)
        expected, *others = plain.read(index)
        assert image.dtype == np.uint16
        assert np.array_equal(image[..., :3], expected.astype(np.uint16) * 257)
        assert np.abs(image[..., 3] / 65535 * LIMIT - others[2]["depth"]).max() <= LIMIT / 65535
        assert np.array_equal(labels[0], others[0])
        assert np.array_equal(labels[1], others[1])
        assert all(np.array_equal(labels[2][kind], plane) for kind, plane in others[2].items())
        truth, other = dataset.truth(index), plain.truth(index)
        assert np.array_equal(truth.region, other.region)
        assert np.array_equal(truth.maps["depth"], channels_first(others[2])["depth"])
        assert dataset.name(index) == plain.name(index)


def test_a_view_moves_depth_with_the_image_and_colors_leave_it_alone() -> None:
    dataset = scenes()
    geometry: dict[str, Any] = {"scale": (1.0, 1.0), "rotation": 0.0, "flip": 1.0}
    colors: dict[str, Any] = {"brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.2}
    view = Augmentation(**geometry, **colors)(dataset.read(0), (64, 96), 1.0, np.random.default_rng(0))
    depth = view.image[..., 3] / 65535 * LIMIT
    assert np.abs(depth - view.maps["depth"]).max() <= LIMIT / 65535
    same = Augmentation(**geometry, **dict.fromkeys(colors, 0.0))(
        dataset.read(0), (64, 96), 1.0, np.random.default_rng(0)
    )
    assert np.array_equal(same.image[..., 3], view.image[..., 3])
    assert not np.array_equal(same.image[..., :3], view.image[..., :3])


def test_a_turned_and_zoomed_view_has_the_depth_of_its_labels_away_from_edges() -> None:
    dataset = scenes()
    view = Augmentation(scale=(1.4, 1.4), rotation=20.0)(
        dataset.read(1), (96, 96), 1.0, np.random.default_rng(3)
    )
    depth, label = view.image[..., 3] / 65535 * LIMIT, view.maps["depth"]
    jumps = np.abs(np.diff(label, axis=0, append=label[-1:])) + np.abs(
        np.diff(label, axis=1, append=label[:, -1:])
    )
    smooth = np.lib.stride_tricks.sliding_window_view(np.pad(jumps, 2, mode="edge"), (5, 5)).max((2, 3)) < 0.2
    valid = smooth & (label > 0)
    assert valid.sum() > 500
    assert np.abs(depth - label)[valid].max() < 0.2


def test_a_zoom_that_changes_labels_of_depth_is_refused() -> None:
    with pytest.raises(DataError, match="depth_by_zoom: false for images with a channel of depth"):
        TrainSamples(scenes(), Augmentation(depth_by_zoom=True), (64, 64))
    TrainSamples(SCENES("train"), Augmentation(depth_by_zoom=True), (64, 64))


def test_batches_have_four_channels_of_16_bits() -> None:
    data = SegmentationDataModule(partial(RGBD, dataset=SCENES), batch_size=2, crop_size=(64, 64), workers=0)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (2, 4, 64, 64)
    assert batch["image"].dtype == torch.uint16
    assert (data.channels, data.state_dict()) == (4, {"depth_limit": 10.0})
    assert SegmentationDataModule(SCENES).state_dict() == {}


def test_a_dataset_without_depth_or_a_limit_of_zero_is_refused() -> None:
    with pytest.raises(
        DataError, match="labels of depth in meters, found SyntheticScenes with normals: set `depth`"
    ):
        RGBD("val", partial(SyntheticScenes, normals=True))
    with pytest.raises(ValueError, match="a depth_limit above 0, found 0"):
        RGBD("val", SCENES, 0)


def test_depth_of_another_size_is_named() -> None:
    class Small(SyntheticScenes):
        def read(self, index: int) -> Pixels:
            pixels = super().read(index)
            return pixels._replace(maps={"depth": pixels.maps["depth"][:-1]})

    with pytest.raises(DataError, match="size 128 x 128, found 128 x 127 in val-00000"):
        RGBD("val", partial(Small, depth=True)).read(0)


def test_the_parts_of_a_mixture_have_one_limit() -> None:
    def mixed(limit: float) -> SegmentationDataset:
        return MixtureDataset(
            "val",
            {
                "a": partial(RGBD, dataset=SCENES, depth_limit=LIMIT),
                "b": partial(RGBD, dataset=SCENES, depth_limit=limit),
            },
        )

    assert mixed(LIMIT).depth_limit == LIMIT
    assert mixed(LIMIT).channels == 4
    with pytest.raises(DataError, match="one depth_limit for all parts, found"):
        mixed(9.0)


def test_the_limit_is_among_the_sources() -> None:
    assert scenes().sources() != RGBD("train", SCENES, 9.0).sources()


@pytest.mark.parametrize("name", ["gaussian_noise", "gamma", "rotation"])
def test_a_corruption_changes_depth_only_where_it_moves_pixels(name: str) -> None:
    dataset = scenes("val")
    corruption = next(each for each in CORRUPTIONS if each.name == name)
    clean, found = dataset.read(0).image, Corrupted(dataset, corruption, 3).read(0).image
    assert found.dtype == np.uint16
    assert not np.array_equal(found[..., :3], clean[..., :3])
    assert np.array_equal(found[..., 3], clean[..., 3]) == (corruption.labels is None)
    plain = Corrupted(SCENES("val"), corruption, 3).read(0).image
    assert np.abs(found[..., :3] / 257 - plain).mean() < 1
    views = TrainSamples(dataset, Augmentation.none(), (64, 64))
    change = RandomCorruption([name], probability=1.0)
    view = Augmentation.none()(dataset.read(0), (128, 128), 1.0, np.random.default_rng(0))
    changed = change(view, np.random.default_rng(1), views).image
    assert np.array_equal(changed[..., 3], view.image[..., 3]) == (corruption.labels is None)
    assert not np.array_equal(changed[..., :3], view.image[..., :3])


def test_a_mixture_of_sizes_passes_on_depth_and_is_brought_to_one_size() -> None:
    parts: dict[str, Any] = {
        name: partial(RGBD, dataset=partial(SCENES, size=size), depth_limit=LIMIT)
        for name, size in {"wide": (48, 96), "tall": (96, 48)}.items()
    }
    mixture = partial(MixtureDataset, datasets=parts)
    data = SegmentationDataModule(
        mixture, batch_size=4, crop_size=(32, 32), workers=0, resize=(64, 80), eval_batch_size=4
    )
    data.setup("fit")
    assert (data.state_dict(), data.hparams["resize"]) == ({"depth_limit": LIMIT}, [64, 80])
    assert [batch["image"].shape for batch in data.val_dataloader()] == [(4, 4, 64, 80)] * 2
    assert next(iter(data.train_dataloader()))["image"].shape == (4, 4, 32, 32)
    sample = EvaluationSamples(scenes("val"), resize=(64, 80))[0]
    depth = sample["image"][3].numpy() / 65535 * LIMIT
    assert np.median(np.abs(depth - sample["depth"].numpy())) < 0.05
