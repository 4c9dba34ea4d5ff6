"""The LightningDataModule of classification: batches of images and the classes that they show."""

from collections.abc import Callable
from functools import partial

from typing_extensions import override

from fusionseg.config.recipe import record
from fusionseg.data.augmentation import Augmentation
from fusionseg.data.base import SegmentationDataset, Split
from fusionseg.data.cache import Cache
from fusionseg.data.class_samples import ClassEvaluationSamples, ClassTrainSamples
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.sample import Sample


class ClassificationDataModule(SegmentationDataModule):
    """Batches of images and the classes that they show, of any dataset.

    Datasets with labels of whole images are `ClassFolders` and `ClassTable`. Of one with label maps, such as
    `CocoPanoptic`, a view shows the classes of which it has a pixel; one without any is unlabelled. Order and
    views are, as in `SegmentationDataModule`, a function of the seed, the epoch and the image, whatever
    workers, ranks and interruptions there are.

    Args:
        dataset: Recipe of the dataset; it is given the split.
        batch_size: Images of one step over all ranks; each rank takes an equal share.
        resize: Height and width of all images, or their longest side, in pixels; that of their files where
            left out.
        crop_size: Height and width of the views to train on, multiples of 32.
        augmentation: Recipe of random views to train on; without one, only the position of a crop is
            random.
        mixup: Mix each training image with another one, in a share drawn from Beta(mixup, mixup)
            (arXiv:1710.09412); 0.2 is common, 0 mixes nothing.
        eval_batch_size: Images of one batch in evaluation on one rank; at most, as the files of a batch have
            one size.
        workers: As in `SegmentationDataModule`.
        cache: As in `SegmentationDataModule`.
        cache_dir: As in `SegmentationDataModule`.
        fraction: As in `SegmentationDataModule`.
        seed: As in `SegmentationDataModule`.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        dataset: Callable[[Split], SegmentationDataset] = SyntheticScenes,
        batch_size: int = 32,
        resize: int | tuple[int, int] | None = (224, 224),
        crop_size: tuple[int, int] = (224, 224),
        augmentation: Callable[[], Augmentation] | None = Augmentation,
        mixup: float = 0.0,
        eval_batch_size: int = 32,
        workers: int | None = None,
        cache: Cache = "none",
        cache_dir: str | None = None,
        fraction: float = 1.0,
        seed: int | None = None,
    ) -> None:
        arguments = dict(locals())
        super().__init__(
            dataset=dataset,
            batch_size=batch_size,
            resize=resize,
            crop_size=crop_size,
            augmentation=augmentation,
            eval_batch_size=eval_batch_size,
            workers=workers,
            cache=cache,
            cache_dir=cache_dir,
            fraction=fraction,
            seed=seed,
        )
        record(self, arguments)
        self.train_samples = partial(ClassTrainSamples, mixup=mixup)
        self.evaluation_samples = ClassEvaluationSamples

    @override
    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        return batch  # which has no label maps
