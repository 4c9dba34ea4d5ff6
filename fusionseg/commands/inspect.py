"""Shows what a data set holds, and what training sees of it with every head's target, as one page."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from fusionseg.cli.arguments import switched
from fusionseg.cli.configured_heads import configured_heads
from fusionseg.cli.fit_help import dataset_lines
from fusionseg.cli.fusion_cli import FusionCLI
from fusionseg.cli.help import options_manual
from fusionseg.config.errors import UsageError
from fusionseg.config.recipe import made
from fusionseg.data.classification_datamodule import ClassificationDataModule
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.inspection.build import check_out, folder_of, write
from fusionseg.inspection.chosen_heads import chosen_heads
from fusionseg.inspection.gathering import findings

ABOUT = """Counts classes and regions of the training and the validation split, on all cores, and draws
training views with the target of each head, in one page (inspect.html) that opens anywhere; the numbers are
in inspect.json beside it. Further arguments are those of data and model as in fusionseg.fit; --config takes
any configuration, whose heads are shown as it sets them, before the others with their defaults. No network is
built."""


@dataclass
class Options:
    """The arguments of the command itself.

    Args:
        heads: Names of the heads whose targets are shown, several with commas between; all where left out.
        images: How many training images are shown, each in two epochs.
        limit: How many images of a split are counted at most, drawn at random; all where left out.
        test: Whether labels of the test split are counted too.
        out: Folder to write to; `inspect/<name of the data's folder>` where left out.
    """

    heads: str | None = None
    images: int = 4
    limit: int | None = None
    test: bool = False
    out: Path | None = None


class InspectCLI(FusionCLI):
    """The command line of data and model, of which only the data are built."""

    plain: ClassVar[tuple[str, ...]] = ("trainer",)

    def add_options(self, parser: Any) -> None:
        parser.add_class_arguments(Options, instantiate=False)

    def manual(self) -> str:
        text = options_manual(
            "fusionseg inspect --data.dataset NAME --data.dataset.root PATH [--out DIR]", ABOUT, Options
        )
        return "\n".join([text, *dataset_lines(), ""])

    def instantiate_classes(self) -> None:
        data = self.config.clone()
        data.pop("model")
        self.datamodule = self.parser.instantiate(data).data
        self.model = None


def main(args: Sequence[str]) -> None:
    """Counts, draws, writes the page and prints its path."""
    cli = InspectCLI(switched(args, ("test",)))
    given = cli.config
    data = cli.datamodule
    for name in ("images", "limit"):
        if given[name] is not None and given[name] < 1:
            raise UsageError(f"expected at least 1 image, found {given[name]}", name)
    if not isinstance(data, SegmentationDataModule) or isinstance(data, ClassificationDataModule):
        raise UsageError(f"expected a SegmentationDataModule, found {type(data).__name__}", "data")
    if data.classes.per_image:
        raise UsageError("expected data with label maps, found labels of whole images", "data.dataset")
    recipe = data.hparams["dataset"]
    out = given.out or Path("inspect") / (folder_of(recipe) or made(data.dataset).__name__)
    check_out(out, recipe)
    classes = len(data.classes)
    heads = chosen_heads(configured_heads(given.model, classes), given.heads, classes)
    found = findings(data, heads, given.images, given.limit, given.test)
    for sentence in found.origin:
        print(sentence, file=sys.stderr)
    print(write(found, out))
