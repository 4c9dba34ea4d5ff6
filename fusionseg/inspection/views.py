"""Views of training images exactly as training sees them, with the target of each head."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple

from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.heads import RegionHead
from fusionseg.inspection.chosen_heads import ShownHead
from fusionseg.sample import VOID, Classes, Picture, Sample
from fusionseg.visualize import photo

EPOCHS = 2
"""Epochs of which each image's view is shown, so that one sees what augmentation changes."""


class View(NamedTuple):
    """A view of a training image.

    Args:
        name: The image's name.
        epoch: The epoch of training.
        unlabelled: The share of its pixels that have neither a class nor a region, such as those beyond the
            image.
        pictures: The view, its regions, and the target of each head that can be drawn, by title.
    """

    name: str
    epoch: int
    unlabelled: float
    pictures: dict[str, Picture]


def views(data: SegmentationDataModule, heads: Mapping[str, ShownHead], images: int) -> list[View]:
    """The first images of the first epoch, as this epoch and the next ones see them.

    Args:
        data: The data, set up.
        heads: The heads whose targets are drawn, by title.
        images: How many images.

    Raises:
        DataError: If there are fewer training images than a batch takes.
    """
    loader: Any = data.train_dataloader()
    # a sampling may draw an image several times in an epoch
    drawn = dict.fromkeys(index for _, index, _ in loader.sampler)
    found = []
    for index in islice(drawn, images):
        for epoch in range(EPOCHS):
            batch = loader.collate_fn([loader.dataset[epoch, index]])
            batch = data.on_after_batch_transfer(batch, 0)
            blank = (batch["semantic"] == VOID) & (batch["region"] == 0)
            pictures = _pictures(batch, heads, data.classes)
            found.append(View(batch["name"][0], epoch, blank.float().mean().item(), pictures))
    return found


def _pictures(batch: Sample, heads: Mapping[str, ShownHead], classes: Classes) -> dict[str, Picture]:
    """The view and the targets of a batch of one image, except where nothing is labelled."""
    pictures = {"image": photo(batch, 0)}
    if _labelled(batch, "region"):
        pictures["regions"] = RegionHead.draw(batch["region"][0].numpy(), classes)
    for title, shown in heads.items():
        kind = shown.head.learns_from
        picture = shown.head.draw_target(batch, classes) if _labelled(batch, kind) else None
        if picture is not None:
            pictures[title] = picture
    return pictures


def _labelled(batch: Sample, kind: str) -> bool:
    """Whether a batch has labels of a kind; empty is what needs none."""
    if not kind:
        return True
    return kind in batch and bool((batch[kind] != (VOID if kind == "semantic" else 0)).any())
