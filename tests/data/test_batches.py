import pytest
import torch

from fusionseg.data.augmentation import Augmentation
from fusionseg.data.base import DataError
from fusionseg.data.batches import batched, collated, widened
from fusionseg.data.samples import EvaluationSamples, TrainSamples
from fusionseg.data.synthetic import SyntheticScenes


def test_a_batch_keeps_the_contract() -> None:
    samples = TrainSamples(SyntheticScenes("train", length=4), Augmentation(), (64, 96))
    batch = widened(collated([samples[0, i] for i in range(4)]))
    assert batch["image"].shape == (4, 3, 64, 96)
    assert batch["image"].dtype == torch.uint8
    assert batch["image"].is_contiguous(memory_format=torch.channels_last)
    assert batch["semantic"].shape == batch["region"].shape == (4, 64, 96)
    assert batch["semantic"].dtype == batch["region"].dtype == torch.int64
    assert batch["name"] == [f"train-{i:05d}" for i in range(4)]
    for i in range(4):
        assert torch.equal(batch["image"][i], samples[0, i]["image"])
        assert torch.equal(batch["region"][i], samples[0, i]["region"].long())


def test_images_of_several_types_make_a_batch_of_floats() -> None:
    samples = EvaluationSamples(SyntheticScenes("val", length=1))
    plain = samples[0]
    wide = plain | {"image": (plain["image"].int() * 257).to(torch.uint16)}
    unit = plain | {"image": plain["image"].float() / 255}
    assert collated([wide, wide])["image"].dtype == torch.uint16
    mixed = collated([plain, wide, unit])["image"]
    assert mixed.dtype == torch.float32
    for image in mixed:
        torch.testing.assert_close(image, unit["image"])


def test_several_indices_are_a_batch_and_a_single_sample_becomes_one() -> None:
    samples = EvaluationSamples(SyntheticScenes("val", length=3))
    batch = samples[2, 0]
    assert batch["index"].tolist() == [2, 0]
    assert batched(batch) is batch
    one = batched(samples[2])
    assert one["name"] == ["val-00002"]
    assert torch.equal(one["image"], batch["image"][:1])


def test_images_of_different_sizes_do_not_share_a_batch() -> None:
    samples = [
        EvaluationSamples(SyntheticScenes("val", length=1, size=size))[0] for size in ((32, 32), (32, 48))
    ]
    with pytest.raises(DataError, match=r"\(32, 32\), val-00000 \(32, 48\): set eval_batch_size to 1"):
        collated(samples)


def test_a_batch_has_the_further_kinds_of_its_dataset() -> None:
    samples = TrainSamples(
        SyntheticScenes("train", length=4, depth=True, normals=True), Augmentation(), (64, 96)
    )
    batch = widened(collated([samples[0, i] for i in range(4)]))
    assert batch["depth"].shape == (4, 64, 96)
    assert batch["normals"].shape == (4, 3, 64, 96)
    assert batch["depth"].dtype == batch["normals"].dtype == torch.float32
    assert torch.equal(batch["depth"] > 0, batch["normals"].norm(dim=1) > 0.5)
    # the sky and what lies beyond the image are invalid
    assert torch.equal(batch["depth"] > 0, (batch["semantic"] != 0) & (batch["semantic"] != 255))
    plain = TrainSamples(SyntheticScenes("train", length=4), Augmentation(), (64, 96))
    alone = widened(collated([plain[0, i] for i in range(4)]))
    assert set(batch) - set(alone) == {"depth", "normals"}
    assert all(torch.equal(batch[key], alone[key]) for key in ("image", "semantic", "region"))


def test_samples_with_different_kinds_do_not_share_a_batch() -> None:
    samples = [EvaluationSamples(SyntheticScenes("val", depth=depth))[0] for depth in (False, True)]
    with pytest.raises(DataError, match=r"'depth', .* let the dataset give a map of zeros"):
        collated(samples)
