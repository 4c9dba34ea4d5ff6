"""The LightningDataModule: batches of any dataset, the same for any number of workers and ranks."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader
from typing_extensions import override

from fusionseg.config.recipe import record
from fusionseg.data.augmentation import Augmentation
from fusionseg.data.base import SegmentationDataset, Split
from fusionseg.data.batches import widened
from fusionseg.data.cache import Cache
from fusionseg.data.checks import check_batches, check_numbers, check_ranks, check_sizes, equal_share
from fusionseg.data.class_counts import Counts, class_counts, image_counts
from fusionseg.data.frozen_features import Features, FrozenFeatures
from fusionseg.data.input_size import InputSize
from fusionseg.data.label_statistics import LabelStatistics, counted
from fusionseg.data.late_loader import default_workers, evaluation_loader, training_loader
from fusionseg.data.mapped_classes import MappedClasses
from fusionseg.data.photo_notices import photo_notices
from fusionseg.data.ranks import cached_in_turn, is_on_gpu, on_first_rank, rank_and_number, say_once
from fusionseg.data.rounding import Repeats
from fusionseg.data.samplers import EvaluationOrder, TrainOrder
from fusionseg.data.samples import EvaluationSamples, TrainSamples
from fusionseg.data.sampling import Sampling, length_notices, repeats_of
from fusionseg.data.split_datasets import SplitDatasets
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.data.unlabelled_mixture import Unlabelled, training_images
from fusionseg.sample import Classes, Sample


class SegmentationDataModule(LightningDataModule):
    """Batches of a dataset for training, and its whole images for evaluation.

    Args:
        dataset: Recipe of the dataset; it is given the split.
        batch_size: Samples of one step over all ranks; each rank takes an equal share.
        crop_size: Height and width of crops, multiples of 32.
        scale: Size of all images relative to their files. Predictions are scored at the files' own size.
        resize: Longest side of all images, or their size; in pixels, in place of `scale`.
        augmentation: Recipe of random views to train on; without one, only the position of a crop is
            random.
        sampling: How often images come, by their classes; a recipe of `BalancedSampling` or
            `RepeatFactorSampling`. Without one, all alike.
        eval_batch_size: Images of one batch in evaluation on one rank; at most, as those of a batch have one
            size.
        workers: Processes that prepare batches on each rank; 0 for none, by default as many as help on this
            machine.
        cache: Cache of decoded images; `memory` takes H x W x (C + 3) bytes an image of 8 bits, and 4 for
            each further label value.
        cache_dir: Folder of what is kept on disk.
        features: Keeps a frozen encoder's features in `cache_dir`.
        fraction: Part of the training images to use; each is drawn by its own name, and a smaller one is a
            subset of a larger one of the same seed.
        unlabelled: Images without labels to train on too.
        seed: What order, views and fraction depend on; by default `seed_everything`'s, or 0.

    Raises:
        ValueError: An argument is out of its range.
    """

    train_samples: Callable[..., TrainSamples] = TrainSamples
    evaluation_samples: Callable[..., EvaluationSamples] = EvaluationSamples

    def __init__(
        self,
        dataset: Callable[[Split], SegmentationDataset] = SyntheticScenes,
        batch_size: int = 8,
        crop_size: tuple[int, int] = (128, 128),
        scale: float = 1.0,
        resize: int | tuple[int, int] | None = None,
        augmentation: Callable[[], Augmentation] | None = Augmentation,
        sampling: Callable[[], Sampling] | None = None,
        eval_batch_size: int = 1,
        workers: int | None = None,
        cache: Cache = "none",
        cache_dir: str | None = None,
        features: FrozenFeatures | None = None,
        fraction: float = 1.0,
        unlabelled: Unlabelled | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        record(self, locals())
        check_sizes(batch_size, eval_batch_size, crop_size, scale, resize)
        check_numbers(workers, fraction, seed)
        self.dataset = dataset
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.crop_size = (crop_size[0], crop_size[1])
        self.scale = scale
        self.resize = resize
        self.input_size = InputSize(scale, resize)
        self.augmentation = Augmentation.none() if augmentation is None else augmentation()
        self.sampling = None if sampling is None else sampling()
        self.workers = workers
        self.cache: Cache = cache
        self.cache_dir = cache_dir
        self.features = features
        self.computed: dict[Split, Features] = {"train": Features(), "val": Features()}
        self.fraction = fraction
        self.unlabelled = unlabelled
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", 0)) if seed is None else seed
        self.weak_views = False
        """Whether training samples have the crop in its own colors too."""
        self.datasets = SplitDatasets(self._constructed)
        self._image_counts: Counts | None = None

    @property
    def classes(self) -> Classes:
        """The classes of the data; decodes no image."""
        return self.datasets.any.classes

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return self.datasets.any.channels

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of labels of the data beside `semantic` and `region`, such as `depth`."""
        return self.datasets.any.kinds

    @property
    def images_per_rank(self) -> int:
        """Images of a training step on each rank."""
        return equal_share(self.batch_size, rank_and_number(self.trainer)[1])

    @override
    def setup(self, stage: str) -> None:
        wanted: dict[str, tuple[Split, ...]] = {
            "fit": ("train", "val"),
            "validate": ("val",),
            "test": ("test",),
        }
        if stage not in wanted:
            raise ValueError(f"expected one of the stages {', '.join(wanted)}, found {stage!r}")
        cached = partial(cached_in_turn, cache=self.cache, folder=self.cache_dir, trainer=self.trainer)
        kept = self.datasets.prepare(wanted[stage], cached)
        say_once((line for dataset in kept for line in photo_notices(dataset)), self.trainer)
        if stage == "fit":
            self._count_classes()

    @override
    def state_dict(self) -> dict[str, Any]:
        """What predictions of images in files go by, besides the arguments, where it is declared."""
        dataset = self.datasets.any
        seen = {} if dataset.value_range is None else {"value_range": list(dataset.value_range)}
        return seen if dataset.depth_limit is None else {**seen, "depth_limit": dataset.depth_limit}

    @override
    def train_dataloader(self) -> DataLoader[Sample]:
        self._count_classes()
        dataset = self.datasets["train"]
        share = self.images_per_rank
        order = partial(dataset.order, among=np.arange(len(dataset)), repeats=self.repeats)
        length = len(order(np.random.default_rng(0)))
        check_batches(length, self.batch_size, self.fraction)
        samples = self.views()
        samples.features = self.computed["train"]
        keys = TrainOrder(length, share, *rank_and_number(self.trainer), self.seed, self._done, order)
        return training_loader(samples, keys, share, self.processes, is_on_gpu(self.trainer))

    @override
    def val_dataloader(self) -> DataLoader[Sample]:
        return self._evaluation("val")

    @override
    def test_dataloader(self) -> DataLoader[Sample]:
        return self._evaluation("test")

    @override
    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        return widened(batch)

    def views(self) -> TrainSamples:
        """The views to train on, without features."""
        seed = self.seed if self.features is None else self.features.seed
        seen = (self.augmentation, self.crop_size, self.scale, seed, self.resize)
        samples = self.train_samples(self.datasets["train"], *seen)
        samples.variants = None if self.features is None else self.features.variants
        samples.weak = self.weak_views
        return samples

    def map_classes(self, classes: Classes, names: Mapping[str, str | None]) -> None:
        """Replaces the classes of all splits by others, as `MappedClasses` does."""
        dataset = self.dataset
        self.dataset = lambda split: MappedClasses(dataset(split), classes, names)
        self.datasets = SplitDatasets(self._constructed)

    def class_counts(self) -> Tensor:
        """The number of pixels of each class (C,) int64 in an epoch of training, from the label files."""
        weighed = (self.seed, self.processes, self.cache_dir, self.repeats, self._image_counts)
        return torch.from_numpy(class_counts(self.datasets["train"], *weighed))

    @property
    def repeats(self) -> Repeats | None:
        """How often each training image is seen in an epoch, on average (N,); None where once."""
        if self.sampling is None or self._image_counts is None:
            return None
        return repeats_of(self.sampling, self.datasets["train"], self._image_counts)

    def label_statistics(self, enough: Callable[[LabelStatistics], bool]) -> LabelStatistics:
        """What the labels of training images hold, as `counted` looks at them until they are enough."""
        return counted(self.datasets["train"], self.seed, enough)

    def _constructed(self, split: Split) -> SegmentationDataset:
        """The dataset of a split; of training images those that are wanted."""
        dataset = self.dataset(split)
        if split != "train":
            return dataset
        return training_images(dataset, self.fraction, self.seed, self.unlabelled)

    @property
    def processes(self) -> int:
        """Processes that prepare batches on this rank."""
        usual = default_workers(self.trainer.num_devices if self.trainer else 1)
        return usual if self.workers is None else self.workers

    def _count_classes(self) -> None:
        """Counts the classes of training images, if something goes by them; rank 0 does so for all."""
        if self._image_counts is not None or not (self.sampling or self.augmentation.needs_counts):
            return
        dataset = self.datasets["train"]
        count = partial(image_counts, dataset, None, self.processes, self.cache_dir)
        self._image_counts = on_first_rank(count, self.trainer)
        self.augmentation.balance(self._image_counts.sum(0))
        if self.repeats is not None:
            say_once(length_notices(dataset, self.repeats), self.trainer)

    def _done(self) -> int:
        """Batches of this epoch that were used already; above 0 only if a run is resumed within an epoch."""
        return self.trainer.fit_loop.epoch_loop.batch_progress.current.ready if self.trainer else 0

    def _evaluation(self, split: Split) -> DataLoader[Sample]:
        """This rank's share of a split's whole images."""
        dataset = self.datasets[split]
        rank, world_size = rank_and_number(self.trainer)
        check_ranks(split, len(dataset), world_size)
        order = EvaluationOrder(len(dataset), rank, world_size, self.eval_batch_size, dataset.image_size)
        samples = self.evaluation_samples(dataset, self.scale, self.resize)
        samples.features = self.computed.get(split, Features())
        return evaluation_loader(samples, order, self.processes, is_on_gpu(self.trainer))
