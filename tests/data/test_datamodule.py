import itertools
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from fusionseg.data import datamodule
from fusionseg.data.base import DataError, Split
from fusionseg.data.cache import Cache
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.mixture import MixtureDataset
from fusionseg.data.samplers import TrainOrder
from fusionseg.data.subset import fraction_of
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.sample import Sample

SCENES = partial(SyntheticScenes, length=10, size=(64, 64))


def data(**arguments: Any) -> SegmentationDataModule:
    defaults: dict[str, Any] = {"dataset": SCENES, "batch_size": 4, "crop_size": (32, 64), "workers": 0}
    return SegmentationDataModule(**defaults | arguments)


def epochs(module: SegmentationDataModule, count: int = 2) -> list[Sample]:
    """All training batches of the first epochs."""
    loader = module.train_dataloader()
    assert isinstance(loader.sampler, TrainOrder)
    batches: list[Sample] = []
    for epoch in range(count):
        loader.sampler.set_epoch(epoch)
        batches += loader
    return batches


def test_each_rank_has_an_equal_share_of_the_images_of_a_step() -> None:
    module = data()
    assert module.images_per_rank == 4
    module.trainer = SimpleNamespace(global_rank=1, world_size=2)  # type: ignore[assignment]
    assert module.images_per_rank == 2


def equal(a: Sample, b: Sample) -> bool:
    return a["name"] == b["name"] and all(
        torch.equal(a[key], b[key]) for key in ("image", "semantic", "region")
    )


# torch warns of more workers than cores.
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [1, 3])
def test_samples_do_not_depend_on_the_workers(workers: int) -> None:
    alone, together = epochs(data()), epochs(data(workers=workers))
    assert len(alone) == len(together) == 4
    assert all(map(equal, alone, together))


def test_two_ranks_see_the_samples_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = epochs(data())
    shares = []
    for rank in range(2):
        monkeypatch.setattr(datamodule, "rank_and_number", lambda trainer, rank=rank: (rank, 2))
        shares.append(epochs(data()))
    for batch, first, second in zip(whole, *shares, strict=True):
        assert first["name"] + second["name"] == batch["name"]
        assert torch.equal(torch.cat((first["image"], second["image"])), batch["image"])


def test_two_ranks_evaluate_every_image_once(monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for rank in range(2):
        monkeypatch.setattr(datamodule, "rank_and_number", lambda trainer, rank=rank: (rank, 2))
        names += [
            name
            for batch in data(dataset=partial(SCENES, length=5)).val_dataloader()
            for name in batch["name"]
        ]
    assert sorted(names) == [f"val-{i:05d}" for i in range(5)]


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_a_cache_changes_no_sample(cache: Cache, tmp_path: Path) -> None:
    module = data(cache=cache, cache_dir=str(tmp_path), workers=1)
    module.setup("fit")
    assert all(map(equal, epochs(data()), epochs(module)))
    assert all(map(equal, data().val_dataloader(), module.val_dataloader()))


def test_loading_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    epochs(data())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_smaller_fraction_is_part_of_a_larger_one() -> None:
    dataset = SyntheticScenes("train", length=50)
    parts = [fraction_of(dataset, fraction, seed=1).indices for fraction in (0.1, 0.3, 0.5, 1.0)]
    assert [len(part) for part in parts] == pytest.approx([5, 15, 25, 50], abs=6)
    assert all(set(small) < set(large) for small, large in itertools.pairwise(parts))
    assert all(list(part) == sorted(part) for part in parts)
    assert fraction_of(dataset, 0.3, seed=2).indices != parts[1]


def test_a_fraction_stays_when_images_come_or_go() -> None:
    few, many = (fraction_of(SyntheticScenes("train", length=n), 0.4, seed=1).indices for n in (20, 50))
    assert few == tuple(i for i in many if i < 20)
    assert 0 < len(few) < len(many)


def test_a_fraction_without_images_is_refused() -> None:
    with pytest.raises(DataError, match=r"in a fraction of 1e-06 of 10, found none: raise data.fraction"):
        data(fraction=1e-6).train_dataloader()


def test_a_fraction_of_less_than_a_batch_is_refused() -> None:
    with pytest.raises(DataError, match=r"one batch of 4 training images, found 2 \(fraction 0.3\)"):
        data(fraction=0.3).train_dataloader()


def test_a_batch_that_ranks_cannot_share_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datamodule, "rank_and_number", lambda trainer: (0, 3))
    with pytest.raises(ValueError, match="that 3 ranks can share equally, found 4"):
        data().train_dataloader()


def test_fit_touches_no_test_image(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    made = SyntheticScenes.__init__

    def recorded(self: SyntheticScenes, split: Split, *args: Any, **kwargs: Any) -> None:
        asked.append(split)
        made(self, split, *args, **kwargs)

    monkeypatch.setattr(SyntheticScenes, "__init__", recorded)
    module = data()
    module.setup("fit")
    assert module.classes is SyntheticScenes.classes
    assert module.channels == 3
    module.train_dataloader(), module.val_dataloader(), module.class_counts()
    assert asked == ["train", "val"]
    module.setup("test")
    assert asked == ["train", "val", "test"]


class Leaking(SyntheticScenes):
    """Has an image that is in all splits."""

    def name(self, index: int) -> str:
        return f"{'frame' if index == 1 else self.split}-{index}"


def test_an_image_in_two_splits_is_refused() -> None:
    with pytest.raises(DataError, match="found frame-1 in train and in val"):
        data(dataset=partial(Leaking, length=5)).setup("fit")


def test_class_counts_are_those_of_the_fraction_in_use() -> None:
    module = data(fraction=0.6)
    module.setup("fit")
    dataset = module.datasets["train"]
    assert len(dataset) == 5
    slow = [sum(int((dataset.read(i).semantic == c).sum()) for i in range(5)) for c in range(6)]
    assert module.class_counts().tolist() == slow
    assert sum(slow) == 5 * 64 * 64


def test_class_counts_are_those_of_an_epoch_of_a_mixture() -> None:
    parts = {
        "a": partial(SyntheticScenes, length=2, size=(64, 64)),
        "b": partial(SyntheticScenes, length=5, size=(64, 64)),
    }
    mixed = data(dataset=partial(MixtureDataset, datasets=parts, weights={"a": 3, "b": 1}, epoch_length=16))
    alone = [data(dataset=part).class_counts().tolist() for part in parts.values()]
    found = mixed.class_counts().tolist()
    assert found[:6] == [6 * count for count in alone[0]]  # 12 of 16 images are of the part with 2
    assert sum(found[6:]) == 4 * 64 * 64
    assert all(count <= whole for count, whole in zip(found[6:], alone[1], strict=True))


def test_what_it_was_made_of_is_kept_in_plain_form() -> None:
    kept = data(scale=0.5, augmentation=None).hparams
    assert kept["dataset"] == {
        "class_path": "fusionseg.data.SyntheticScenes",
        "init_args": {"length": 10, "size": [64, 64]},
    }
    assert (kept["scale"], kept["crop_size"], kept["augmentation"]) == (0.5, [32, 64], None)
    with pytest.raises(ValueError, match="no name to rebuild it by"):
        data(dataset=lambda split: SCENES(split))


def test_without_augmentation_only_the_crop_is_random() -> None:
    module = data(augmentation=None)
    for batch in epochs(module):
        for image, name in zip(batch["image"], batch["name"], strict=True):
            whole = torch.from_numpy(module.datasets["train"].read(int(name[-5:])).image).permute(2, 0, 1)
            assert any(
                torch.equal(image, window) for window in whole.unfold(1, 32, 1).permute(1, 0, 3, 2).unbind()
            )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"crop_size": (32, 50)}, "multiples of 32 up to 8192, found 32 x 50"),
        ({"crop_size": (0, 32)}, "multiples of 32"),
        ({"fraction": 0.0}, r"in \(0, 1\], found 0.0"),
        ({"batch_size": 0}, "batch_size and data.eval_batch_size above 0, found 0"),
        ({"scale": -1.0}, "data.scale above 0 and up to 16, found -1.0"),
        ({"scale": float("nan")}, "data.scale above 0"),
        ({"crop_size": (32, 32000)}, "up to 8192"),
        ({"workers": 10**6}, "data.workers in 0..512"),
        ({"seed": -1}, "data.seed of 0 or more"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data(**arguments)


def test_the_seed_is_that_of_seed_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    assert data().seed == 0
    monkeypatch.setenv("PL_GLOBAL_SEED", "17")
    assert data().seed == 17
    assert data(seed=3).seed == 3


class Recorder(LightningModule):
    """A model of one number that notes what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.batches: list[Sample] = []

    def training_step(self, batch: Sample, index: int) -> Tensor:
        self.batches.append(batch)
        image: Tensor = batch["image"]
        return self.weight * image.float().mean()

    def validation_step(self, batch: Sample, index: int) -> None:
        loader = self.trainer.val_dataloaders
        assert loader is not None
        assert loader.dataset.truth(int(batch["index"][0])).region.shape == (64, 64)
        assert batch["semantic"].dtype == torch.int64

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_trainer_tells_the_epoch_and_widens_the_labels(workers: int) -> None:
    model = Recorder()
    with warnings.catch_warnings():
        # Lightning's advice about workers, and its own use of a deprecated name of torch.
        warnings.simplefilter("ignore")
        trainer = Trainer(
            max_epochs=2,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
        )
        trainer.fit(model, datamodule=data(workers=workers))
    assert len(model.batches) == 4
    assert all(batch["region"].dtype == torch.int64 for batch in model.batches)
    assert all(
        torch.equal(a["image"], b["image"]) for a, b in zip(model.batches, epochs(data()), strict=True)
    )


@pytest.mark.parametrize("cache", ["none", "memory", "disk"])
def test_further_kinds_reach_the_batches_through_fraction_and_cache(cache: Cache, tmp_path: Path) -> None:
    module = SegmentationDataModule(
        partial(SCENES, depth=True, normals=True),
        batch_size=2,
        crop_size=(32, 32),
        workers=0,
        cache=cache,
        cache_dir=str(tmp_path),
        fraction=0.5,
    )
    assert module.kinds == ("depth", "normals")
    module.setup("fit")
    for loader, size in (
        (module.train_dataloader(), (2, 3, 32, 32)),
        (module.val_dataloader(), (1, 3, 64, 64)),
    ):
        batch = module.on_after_batch_transfer(next(iter(loader)), 0)
        assert batch["normals"].shape == size
        assert batch["depth"].any()
    truth = module.val_dataloader().dataset.truth(0)  # type: ignore[attr-defined]
    assert truth.maps["normals"].shape == (3, 64, 64)
