"""Finds out all about a data set: draws training views, counts its splits and collects notices."""

from collections.abc import Mapping, Sequence

from fusionseg.config.errors import UsageError, mendable
from fusionseg.config.recipe import made
from fusionseg.data.base import DataError, SegmentationDataset, Split
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.photo_notices import photo_notices
from fusionseg.inspection.chosen_heads import ShownHead
from fusionseg.inspection.findings import Findings
from fusionseg.inspection.split_facts import split_facts
from fusionseg.inspection.views import views


def findings(
    data: SegmentationDataModule,
    heads: Mapping[str, ShownHead],
    images: int = 4,
    limit: int | None = None,
    test: bool = False,
) -> Findings:
    """All about the data.

    Args:
        data: The data, which are set up here.
        heads: The heads whose targets are drawn, by title.
        images: How many images are drawn.
        limit: How many images of a split are counted at most.
        test: Whether labels of the test split are counted too.

    Raises:
        DataError: If the data cannot be read or trained on.
        UsageError: If there is no test split to count.
    """
    data.cache = "none"  # hardly an image is read twice
    with mendable():
        data.setup("fit")
    counted: dict[str, SegmentationDataset] = dict(data.datasets.items())
    held_out = _test_split(data)
    if test:
        if isinstance(held_out, str):
            raise UsageError(f"expected a test split, found none: {held_out}", "test")
        counted["test"] = held_out
    drawn = views(data, heads, images)
    every = counted if isinstance(held_out, str) else {**counted, "test": held_out}
    return Findings(
        data,
        {
            split: split_facts(
                dataset, limit, data.workers, data.seed, data.repeats if split == "train" else None
            )
            for split, dataset in counted.items()
        },
        held_out if isinstance(held_out, str) else len(held_out),
        {split: dataset.download for split, dataset in every.items()},
        _shared_groups(counted["train"], counted["val"]),
        _notices(list(counted.values())),
        dict(heads),
        drawn,
    )


def _test_split(data: SegmentationDataModule) -> SegmentationDataset | str:
    """The test split, of which nothing is read, or why there is none."""
    kind = made(data.dataset)
    known: tuple[Split, ...] = getattr(kind, "splits", SegmentationDataset.splits)
    if "test" not in known:
        return f"{kind.__name__} has the splits {', '.join(known)}"
    try:
        with mendable():
            return data.dataset("test")
    except DataError as error:
        return str(error).splitlines()[0]


def _shared_groups(train: SegmentationDataset, val: SegmentationDataset) -> tuple[int, int]:
    """The number of groups with images in both splits, and the number of all groups."""
    groups = [{dataset.group(i) for i in range(len(dataset))} - {None} for dataset in (train, val)]
    return len(groups[0] & groups[1]), len(groups[0] | groups[1])


def _notices(datasets: Sequence[SegmentationDataset]) -> list[str]:
    """What is strange about photos, as `fit` says it, and what of several annotators is counted."""
    lines = list(dict.fromkeys(line for dataset in datasets for line in photo_notices(dataset)))
    if any(dataset.truth(0).others for dataset in datasets):
        lines.append(
            "Images have several annotators: figures are of the first one, and training views show one that "
            "is drawn for each epoch."
        )
    return lines
