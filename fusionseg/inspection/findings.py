"""All that was found out about a data set: what the page and the JSON file are made of."""

import inspect
from typing import Any, NamedTuple

from fusionseg.config.recipe import made
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.download_parts import DownloadPart
from fusionseg.files.atomic import Json
from fusionseg.inspection.chosen_heads import ShownHead
from fusionseg.inspection.class_figures import absent, balanced_weights, class_figures, imbalance
from fusionseg.inspection.region_figures import region_figures
from fusionseg.inspection.split_facts import SplitFacts
from fusionseg.inspection.views import View
from fusionseg.sample import Classes


class Findings(NamedTuple):
    """What was found out about a data set.

    Args:
        data: The data.
        facts: What the labels of each counted split hold.
        test: The number of images of the test split, or why there is none.
        download: How much is there of each part of an official download, by splits.
        shared_groups: Groups (sequences, cities) with images in both train and val, and their number in all.
        notices: What is strange about photos and labels, in lines.
        heads: The heads whose targets are shown.
        views: Views of training images.
    """

    data: SegmentationDataModule
    facts: dict[str, SplitFacts]
    test: int | str
    download: dict[str, tuple[DownloadPart, ...]]
    shared_groups: tuple[int, int]
    notices: list[str]
    heads: dict[str, ShownHead]
    views: list[View]

    @property
    def classes(self) -> Classes:
        """The classes of the data."""
        return self.data.classes

    @property
    def kind(self) -> Any:
        """The class of the data set."""
        return made(self.data.dataset)

    @property
    def origin(self) -> list[str]:
        """What is there of an official download and what its reader was checked on, in sentences."""
        sentences = [f"{part}." for parts in self.download.values() for part in parts]
        if verified := self.data.datasets["train"].verified:
            sentences.append(f"The reader of this data set is {verified}.")
        return list(dict.fromkeys(sentences))

    @property
    def limited(self) -> bool:
        """Whether not all images were counted."""
        return any(facts.images < facts.total for facts in self.facts.values())

    @property
    def about(self) -> list[str]:
        """What the data set says of itself, in paragraphs."""
        text = (inspect.getdoc(self.kind) or "").split("\nArgs:")[0]
        return [" ".join(paragraph.split()).replace("`", "") for paragraph in text.strip().split("\n\n")]


def as_json(found: Findings) -> Json:
    """The numbers of the page."""
    settings: Json = {key: value for key, value in found.data.hparams.items() if not key.startswith("_")}
    classes = found.classes
    weights = balanced_weights(found.facts["train"])
    return {
        "data": settings,
        "seed": found.data.seed,
        "region": classes.region,
        "verified": found.data.datasets["train"].verified,
        "download": {split: list(map(str, parts)) for split, parts in found.download.items()},
        "classes": [
            {"name": name, "color": list(classes.colors[i]), "thing": i in classes.things}
            for i, name in enumerate(classes.names)
        ],
        "splits": {split: _split(found, split) for split in found.facts},
        "test_images": found.test if isinstance(found.test, int) else None,
        "balanced_weights": dict(zip(classes.names, weights, strict=True)) if weights else None,
        "views": [
            {"image": view.name, "epoch": view.epoch, "unlabelled": view.unlabelled} for view in found.views
        ],
        "heads": {
            name: {"configured": shown.configured, "settings": shown.settings}
            for name, shown in found.heads.items()
        },
        "notices": found.notices,
    }


def _split(found: Findings, split: str) -> Json:
    """The numbers of a split."""
    facts = found.facts[split]
    classes = found.classes
    things = classes.things
    figures = class_figures(facts, classes)
    return {
        "images": facts.total,
        "counted": facts.images,
        "height": [int(facts.sizes[:, 0].min()), int(facts.sizes[:, 0].max())],
        "width": [int(facts.sizes[:, 1].min()), int(facts.sizes[:, 1].max())],
        "labelled_pixels": {kind: n / facts.pixels for kind, n in facts.labelled.items()},
        "unlabelled_images": {kind: facts.images - n for kind, n in facts.labelled_images.items()},
        "classes": {name: one._asdict() for name, one in zip(classes.names, figures, strict=True)},
        "absent": absent(facts, classes),
        "imbalance": imbalance(facts),
        "regions": region_figures(facts, things, found.data.crop_size, found.data.input_size)._asdict(),
    }
