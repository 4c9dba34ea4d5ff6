import math
from collections import Counter
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fusionseg.data import BalancedSampling, RepeatFactorSampling, datamodule
from fusionseg.data.base import Labels, Pixels, SegmentationDataset, Split
from fusionseg.data.cache import Cache
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.mixture import MixtureDataset
from fusionseg.data.sampling import Sampling
from fusionseg.data.unlabelled_mixture import Unlabelled
from fusionseg.sample import Classes

SHOWN = [{0}, {0, 1}, {0}, {0, 2}, {0, 1}, {0}, {0, 1, 3}, {0}, set(), {0}, {0}, {0, 1}]
"""The classes that each training image shows: 0 in nearly all, 1 in four, 2 and 3 in one each."""


class Known(SegmentationDataset):
    """Images of which one knows what they show: a stripe of each class, else void."""

    classes = Classes(("a", "b", "c", "d"), ((0, 0, 0), (80, 0, 0), (160, 0, 0), (240, 0, 0)))
    counted = 0

    def __init__(self, split: Split, copies: int = 1) -> None:
        super().__init__(split)
        self.present = SHOWN * copies

    def __len__(self) -> int:
        return len(self.present)

    def name(self, index: int) -> str:
        return f"{self.split}-{index}"

    def labels(self, index: int) -> Labels:
        type(self).counted += 1
        return super().labels(index)

    def read(self, index: int) -> Pixels:
        semantic = np.full((32, 32), 255, np.uint8)
        for label in self.present[index]:
            semantic[4 * label : 4 * label + 3] = label
        image = np.random.default_rng(index).integers(0, 256, (32, 32, 3), np.uint8)
        return Pixels(image, semantic, np.ones((32, 32), np.uint16))

    def sources(self) -> list[object]:
        return [len(self)]


def shown_counts(shown: list[set[int]]) -> np.ndarray:
    return np.array([[7 * (label in classes) for label in range(4)] for classes in shown])


def plain_repeat_factors(images: list[set[int]], threshold: float) -> list[float]:
    """The factors as detectron2 computes them, in plain loops over the images that have labels."""
    labelled = [classes for classes in images if classes]
    number: Counter[int] = Counter(label for classes in labelled for label in classes)
    factors = {
        label: max(1.0, math.sqrt(threshold / (count / len(labelled)))) for label, count in number.items()
    }
    return [max((factors[label] for label in classes), default=1.0) for classes in images]


def plain_weights(images: list[set[int]], power: float) -> list[float]:
    """Inverse frequencies of the rarest classes, in plain loops; an epoch has as many images as there are."""
    labelled = [classes for classes in images if classes]
    weights = []
    for classes in images:
        frequencies = [sum(label in other for other in labelled) / len(labelled) for label in classes]
        weights.append(min(frequencies, default=1.0) ** -power)
    return [weight * len(images) / sum(weights) for weight in weights]


@pytest.mark.parametrize("threshold", [0.001, 0.2, 0.5, 1.0])
def test_repeat_factors_are_those_of_lvis(threshold: float) -> None:
    found = RepeatFactorSampling(threshold).repeats(shown_counts(SHOWN))
    assert found.tolist() == pytest.approx(plain_repeat_factors(SHOWN, threshold))


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_balanced_images_have_the_inverse_frequency_of_their_rarest_class(power: float) -> None:
    found = BalancedSampling(power).repeats(shown_counts(SHOWN))
    assert found.tolist() == pytest.approx(plain_weights(SHOWN, power))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: RepeatFactorSampling(0), r"a threshold in \(0, 1\], found 0"),
        (lambda: RepeatFactorSampling(1.5), "found 1.5"),
        (lambda: BalancedSampling(-1), "a power of 0 or more, found -1"),
        (lambda: BalancedSampling(float("nan")), "found nan"),
    ],
)
def test_impossible_arguments_are_refused(made: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made()


def data(sampling: Any, **arguments: Any) -> SegmentationDataModule:
    defaults: dict[str, Any] = {
        "dataset": partial(Known, copies=4),
        "batch_size": 4,
        "crop_size": (32, 32),
        "workers": 0,
    }
    return SegmentationDataModule(**defaults | arguments, sampling=sampling)


def keys(module: SegmentationDataModule, epoch: int = 0) -> list[tuple[int, int, int]]:
    """The keys of an epoch's samples."""
    sampler: Any = module.train_dataloader().sampler
    sampler.set_epoch(epoch)
    return list(sampler)


SAMPLINGS = [BalancedSampling, partial(RepeatFactorSampling, threshold=0.5)]
every_sampling = pytest.mark.parametrize("sampling", SAMPLINGS)


@every_sampling
def test_epochs_show_images_as_often_as_wanted_and_are_of_one_length(sampling: Any) -> None:
    module = data(sampling)
    lengths, times = set(), np.zeros(48)
    wanted = sampling().repeats(shown_counts(SHOWN * 4))
    for epoch in range(60):
        indices = [index for _, index, _ in keys(module, epoch)]
        lengths.add(len(indices))
        counts = np.bincount(indices, minlength=48)
        assert (counts <= np.ceil(wanted)).all()
        times += counts
    assert lengths == {4 * (int(wanted.sum() + 1e-6) // 4)}
    assert times / 60 == pytest.approx(wanted, abs=0.35)
    rare, common = (np.array([label in classes for classes in SHOWN * 4]) for label in (3, 0))
    assert times[rare].mean() > 1.3 * times[common].mean()


def test_a_longer_epoch_is_announced_once(capsys: pytest.CaptureFixture[str]) -> None:
    module = data(partial(RepeatFactorSampling, threshold=0.5))
    module.setup("fit")
    keys(module), keys(module)
    assert capsys.readouterr().err == (
        "data.sampling: an epoch has 60 images instead of 48, as 20 with rare classes are repeated, up to "
        "2.3 times\n"
    )
    data(BalancedSampling).setup("fit")
    data(None).setup("fit")
    assert not capsys.readouterr().err


@every_sampling
def test_an_image_that_comes_again_in_an_epoch_has_another_view(sampling: Any) -> None:
    module = data(sampling)
    loader = module.train_dataloader()
    again = [(index, occurrence) for _, index, occurrence in keys(module) if occurrence]
    assert again
    for index, occurrence in again:
        first, other = (loader.dataset[0, index, k] for k in (0, occurrence))
        assert first["name"] == other["name"]
        assert not torch.equal(first["image"], other["image"])


@every_sampling
def test_two_ranks_and_a_resumed_epoch_see_the_order_of_one(
    sampling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = keys(data(sampling), 3)
    shares = []
    for rank in range(2):
        monkeypatch.setattr(datamodule, "rank_and_number", lambda trainer, rank=rank: (rank, 2))
        shares.append(np.array(keys(data(sampling), 3)).reshape(-1, 2, 3))
    assert np.concatenate(shares, 1).reshape(-1, 3).tolist() == [list(key) for key in whole]
    monkeypatch.undo()
    monkeypatch.setattr(SegmentationDataModule, "_done", lambda self: 5)
    assert keys(data(sampling), 3) == whole[20:]


@every_sampling
def test_a_fraction_is_sampled_by_its_own_classes(sampling: Any) -> None:
    module = data(sampling, fraction=0.6)
    module.setup("fit")
    chosen = module.datasets["train"].indices  # type: ignore[attr-defined]
    expected = sampling().repeats(shown_counts([(SHOWN * 4)[i] for i in chosen]))
    assert module.repeats is not None
    assert module.repeats.tolist() == expected.tolist()
    assert {index for _, index, _ in keys(module)} <= set(range(len(chosen)))


@every_sampling
@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_a_cache_changes_no_order(sampling: Any, cache: Cache, tmp_path: Path) -> None:
    kept = data(sampling, cache=cache, cache_dir=str(tmp_path))
    kept.setup("fit")
    assert keys(kept, 2) == keys(data(sampling), 2)


def mixture(**arguments: Any) -> Any:
    parts = {"a": partial(Known, copies=3), "b": Known}
    return partial(MixtureDataset, datasets=parts, classes={"a": {}, "b": {}}, **arguments)


@every_sampling
def test_a_mixture_keeps_the_shares_of_its_parts(sampling: Any) -> None:
    module = data(sampling, dataset=mixture(weights={"a": 1, "b": 3}, epoch_length=40))
    times = np.zeros(48)
    for epoch in range(40):
        indices = np.array([index for _, index, _ in keys(module, epoch)])
        assert ((indices < 36).sum(), (indices >= 36).sum()) == (10, 30)
        times += np.bincount(indices, minlength=48)
    assert module.repeats is not None
    for part, share in ((slice(0, 36), 10), (slice(36, 48), 30)):
        wanted = module.repeats[part] * share / module.repeats[part].sum()
        assert times[part] / 40 == pytest.approx(wanted, abs=0.45)


@every_sampling
def test_a_mixture_without_weights_is_sampled_as_its_images_are(sampling: Any) -> None:
    alone, mixed = data(sampling), data(sampling, dataset=mixture())
    counts = [Counter(index for _, index, _ in keys(module, 1)) for module in (alone, mixed)]
    assert sum(counts[0].values()) == sum(counts[1].values())
    assert mixed.repeats is not None
    assert alone.repeats is not None
    assert mixed.repeats.tolist() == alone.repeats.tolist()


class Common(Known):
    """A part of one image of the most common class."""

    def __init__(self, split: Split) -> None:
        super().__init__(split)
        self.present = [{0}]


def test_a_part_of_a_mixture_that_is_hardly_wanted_may_be_left_out() -> None:
    parts = {"a": partial(Known, copies=30), "b": Common}
    module = data(
        BalancedSampling, dataset=partial(MixtureDataset, datasets=parts, classes={"a": {}, "b": {}})
    )
    assert len(keys(module)) == 360


@every_sampling
def test_class_counts_are_those_of_a_sampled_epoch_and_are_counted_once(sampling: Any) -> None:
    Known.counted = 0
    module = data(sampling)
    module.setup("fit")
    found = module.class_counts()
    assert Known.counted == 48
    dataset = module.datasets["train"]
    order = dataset.order(np.random.default_rng(0), np.arange(48), module.repeats)
    slow = [sum(96 * (label in (SHOWN * 4)[i]) for i in order.tolist()) for label in range(4)]
    assert found.tolist() == slow


class Broadcasting:
    """What a strategy gives to the other ranks."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def broadcast(self, value: Any, source: int = 0) -> Any:
        if value:
            self.sent.append(value)
        return self.sent[-1]

    def barrier(self) -> None:
        pass


def test_the_first_rank_counts_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    Known.counted = 0
    strategy = Broadcasting()
    orders = []
    for rank in range(2):
        module = data(BalancedSampling)
        module.trainer = SimpleNamespace(  # type: ignore[assignment]
            global_rank=rank, local_rank=rank, world_size=2, num_devices=2, strategy=strategy
        )
        module.setup("fit")
        orders.append(module.repeats)
    assert Known.counted == 48
    assert np.array_equal(*orders)


def test_what_fails_on_the_first_rank_fails_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Known, index: int) -> Labels:
        raise OSError("no such disk")

    monkeypatch.setattr(Known, "labels", broken)
    strategy = Broadcasting()
    for rank in range(2):
        module = data(BalancedSampling)
        module.trainer = SimpleNamespace(  # type: ignore[assignment]
            global_rank=rank, local_rank=rank, world_size=2, num_devices=2, strategy=strategy
        )
        with pytest.raises(OSError, match="no such disk"):
            module.setup("fit")


def test_every_sampling_is_in_this_file() -> None:
    made = {sampling.func if isinstance(sampling, partial) else sampling for sampling in SAMPLINGS}
    assert made == set(Sampling.__subclasses__())


@pytest.mark.parametrize("sampling", [BalancedSampling, partial(RepeatFactorSampling, threshold=0.5)])
def test_images_without_labels_do_not_change_how_often_others_come(
    sampling: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def drawn(unlabelled: Unlabelled | None) -> tuple[Counter[str], str, int]:
        Known.counted = 0
        data = SegmentationDataModule(
            partial(Known, copies=3),
            batch_size=2,
            crop_size=(32, 32),
            workers=0,
            sampling=sampling,
            fraction=0.4,
            unlabelled=unlabelled,
            cache_dir=str(tmp_path / str(unlabelled)),
            seed=1,
        )
        loader: Any = data.train_dataloader()
        order = loader.sampler.order(np.random.default_rng(0)).tolist()
        dataset = data.datasets["train"]
        names = Counter(dataset.name(index) for index in order if dataset.has_labels(index))
        return names, capsys.readouterr().err.partition(", as ")[2], Known.counted

    plain, mixed = drawn(None), drawn(Unlabelled(share=0.6))
    assert max(plain[0].values()) > 1
    assert mixed == plain
