"""Predicts a few named images of a split again, to look at them."""

from collections.abc import Collection, Iterator
from typing import Any, Literal

from fusionseg.config.errors import UserError
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.subset import Subset
from fusionseg.engine.evaluation import evaluated, suite_of
from fusionseg.engine.predictions import drawables
from fusionseg.sample import Picture
from fusionseg.visualize import sample_row


def chosen_rows(
    module: Any, data: Any, split: Literal["val", "test"], names: Collection[str], precision: str
) -> Iterator[tuple[str, dict[str, Picture]]]:
    """Each named image with its pictures by title: `image`, then truth and prediction of each task.

    Args:
        module: A LightningModule with `predictions(batch, size)`.
        data: The data; after this it has no other images of the split.
        split: The split of the images.
        names: Their names; those that the split lacks are passed over.
        precision: As Lightning's.

    Raises:
        UserError: If the data are not of a `SegmentationDataModule`, which knows images by their names.
    """
    if not isinstance(data, SegmentationDataModule):
        raise UserError(f"expected a SegmentationDataModule, found {type(data).__name__}")
    dataset = data.dataset(split)
    wanted = [index for index in range(len(dataset)) if dataset.name(index) in names]
    if not wanted:
        return
    data.datasets[split] = Subset(dataset, wanted)
    data.cache = "none"  # for a few images, which nobody reads again
    tasks = drawables(module)
    for photo, image in evaluated(module, data, split, precision, suite_of(module, data.classes)):
        row = sample_row(photo, image.truth, image.prediction, data.classes, tasks)
        yield image.prediction.name, row
