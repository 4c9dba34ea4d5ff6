from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import MixUp

from fusionseg.data import Augmentation, ClassFolders, SyntheticScenes
from fusionseg.data.base import SegmentationDataset
from fusionseg.data.class_samples import (
    MIXING,
    ClassEvaluationSamples,
    ClassTrainSamples,
    mixed,
    with_classes,
)
from fusionseg.data.samples import EvaluationSamples, TrainSamples

Writer = Callable[..., Path]


def views(dataset: SegmentationDataset, mixup: float = 0.0) -> ClassTrainSamples:
    return ClassTrainSamples(dataset, Augmentation(), (32, 32), 1.0, 7, None, mixup=mixup)


def test_a_sample_has_the_label_of_its_image_and_no_maps(class_folders: Writer) -> None:
    dataset = ClassFolders("train", class_folders())
    for samples in (views(dataset), ClassEvaluationSamples(dataset)):
        sample = samples[7]
        assert sample.keys() - {"index"} == {"image", "scene", "name"}
        assert sample["scene"].tolist() == [0, 1, 0]


def test_a_view_of_label_maps_shows_the_classes_that_have_a_pixel_in_it() -> None:
    scenes = SyntheticScenes("train", 4, (96, 96))
    plain = TrainSamples(scenes, Augmentation(), (32, 32), 1.0, 7)
    differing = 0
    for index in range(4):
        found = views(scenes)[0, index]["scene"]
        seen = plain[0, index]["semantic"].unique()
        assert set(found.nonzero().flatten().tolist()) == set(seen.tolist()) - {255}
        whole = ClassEvaluationSamples(scenes)[index]["scene"]
        assert set(whole.nonzero().flatten().tolist()) == set(np.unique(scenes.read(index).semantic)) - {255}
        differing += not torch.equal(whole, found)
    assert differing


def test_batches_of_evaluation_have_no_maps_either(class_folders: Writer) -> None:
    batch = ClassEvaluationSamples(ClassFolders("val", class_folders()))[(3, 9, 17)]
    assert batch.keys() == {"image", "scene", "name", "index"}
    assert batch["scene"].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_other_samples_have_the_label_beside_their_maps(class_folders: Writer) -> None:
    dataset = ClassFolders("train", class_folders())
    for samples in (TrainSamples(dataset, Augmentation(), (32, 32)), EvaluationSamples(dataset)):
        assert samples[7]["scene"].tolist() == [0, 1, 0]
        assert (samples[7]["semantic"] == 255).all()


def test_mixing_is_that_of_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = torch.rand(2, 3, 8, 8), torch.eye(2)
    mixup = MixUp(alpha=0.4, num_classes=2)
    torch.manual_seed(5)
    expected_images, expected_labels = mixup(images, torch.tensor([0, 1]))
    torch.manual_seed(5)
    share = float(mixup._dist.sample(()))
    for i in range(2):
        torch.testing.assert_close(mixed(images[i], images[1 - i], share), expected_images[i])
        torch.testing.assert_close(mixed(labels[i], labels[1 - i], share), expected_labels[i])


def test_integers_are_rounded_to_the_nearest() -> None:
    one, other = (
        torch.tensor([0, 10, 255], dtype=torch.uint8),
        torch.tensor([255, 11, 255], dtype=torch.uint8),
    )
    assert mixed(one, other, 0.75).tolist() == [64, 10, 255]
    assert mixed(one, other, 0.75).dtype == torch.uint8


def test_images_of_different_types_are_mixed_as_floats_of_their_ranges() -> None:
    bright, dark = torch.full((1, 2, 2), 65535, dtype=torch.uint16), torch.zeros(1, 2, 2, dtype=torch.uint8)
    gray = torch.full((1, 2, 2), 0.5)
    for one, other, expected in ((bright, dark, 0.75), (dark, bright, 0.25), (gray, bright, 0.625)):
        torch.testing.assert_close(mixed(one, other, 0.75), torch.full((1, 2, 2), expected))


def test_a_view_without_a_labelled_pixel_is_unlabelled_and_so_is_what_is_mixed_with_it() -> None:
    sample = {"image": torch.zeros(3, 2, 2), "semantic": torch.full((2, 2), 255, dtype=torch.uint8)}
    void = with_classes(sample, 3)["scene"]
    assert void.isnan().tolist() == [True] * 3
    assert mixed(torch.tensor([0.0, 1.0, 0.0]), void, 0.75).isnan().all()
    sample["semantic"][0, 0] = 2
    assert with_classes(sample, 3)["scene"].tolist() == [0, 0, 1]


def test_a_mixed_view_is_a_function_of_seed_epoch_and_image(class_folders: Writer) -> None:
    dataset = ClassFolders("train", class_folders())
    plain, samples, again = views(dataset), views(dataset, 0.4), views(dataset, 0.4)
    later = [again[2, i, 0] for i in (5, 3)]
    for index, expected in zip((3, 5), reversed(later), strict=True):
        found = samples[2, index, 0]
        assert torch.equal(found["image"], expected["image"])
        assert torch.equal(found["scene"], expected["scene"])
        rng = np.random.default_rng((7, 2, index, 1, MIXING))
        share, other = rng.beta(0.4, 0.4), int(rng.integers(len(dataset)))
        one, two = plain[2, index, 0], plain[2, other]
        blend = share * one["scene"] + (1 - share) * two["scene"]
        torch.testing.assert_close(found["scene"], blend.float())
        shade = share * one["image"].double() + (1 - share) * two["image"].double()
        assert (found["image"] - shade).abs().max() <= 0.5 + 1e-4
    assert not torch.equal(samples[2, 3, 0]["image"], samples[2, 3, 1]["image"])
    assert not torch.equal(samples[2, 3, 0]["image"], samples[3, 3, 0]["image"])


def test_views_in_their_own_colors_are_mixed_alike() -> None:
    scenes = SyntheticScenes("train", 4, (64, 64))
    samples = views(scenes, 0.4)
    samples.weak = True
    found = samples[2, 1, 0]
    assert found.keys() == {"image", "weak", "scene", "name"}
    samples.augmentation.color = lambda image, rng: image  # type: ignore[method-assign]
    plain = samples[2, 1, 0]
    assert torch.equal(plain["image"], plain["weak"])
    assert torch.equal(plain["weak"], found["weak"])
    assert not torch.equal(found["image"], found["weak"])


def test_a_negative_alpha_is_refused(class_folders: Writer) -> None:
    with pytest.raises(ValueError, match=r"expected data.mixup of 0 or more, found -1"):
        views(ClassFolders("train", class_folders()), -1)
