"""What `--help` of the command line shows: its own arguments, then the default model's, the data's, the trainer's."""

import re
from collections.abc import Callable
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter

USAGE = "python -m fusionseg.fit [--config FILE ...] [--key value ...] [--out DIR]"
ABOUT = """Trains semantic and region segmentation together on one loss, alpha * L_semantic + beta * L_region. Every
setting is a key of the configuration and an argument of the command line; later ones win. All of them, resolved, are in
the run folder's config.yaml."""
MORE = """A part's own settings: --model.region_head.help CenterOffsetHead, --model.network.help CrossStitch,
--model.balancer.help MGDA, --model.optimizer.help SGD, --data.dataset.help CamVid,
--trainer.callbacks.help EarlyStopping.
A model and data of your own: --model my_package.MyModule --data my_package.MyData (what they have to keep to stands in
fusionseg.cli.parser.FusionCLI); their settings: --model.help my_package.MyModule.

Examples:
  python -m fusionseg.fit
  python -m fusionseg.fit --model.alpha 0.3 --model.region_head CenterOffsetHead --model.region_head.sigma 6
  python -m fusionseg.fit --config experiments/camvid.yaml --data.dataset.root data/CamVid --out runs/camvid
  python -m fusionseg.fit --model.region_head null --trainer.max_epochs 5 --wandb disabled
  python -m fusionseg.fit --config runs/camvid/config.yaml --out runs/camvid-again
"""


class Formatter(DefaultHelpFormatter):
    """Help in which classes have the short names that the command line takes."""

    def add_argument(self, action: Any) -> None:
        """Leaves out what only repeats the epilogue."""
        options = " ".join(action.option_strings)
        if not options.endswith(".help") and options not in (
            "--model",
            "--model.backbone",
            "--data",
            "--trainer",
        ):
            super().add_argument(action)

    def _expand_help(self, action: Any) -> str:
        text = super()._expand_help(action) or ""
        text = re.sub(r"type: Callable\[.*, (\w+)\]( \| null)?, default", r"type: \1\2, default", text)
        text = re.sub(r"{'class_path': '[\w.]*?(\w+)'}", r"\1", text)
        if listed := re.search(r"known subclasses: ([^)]*)", text):
            names = (path.rpartition(".")[2] for path in listed[1].split(", "))
            text = text.replace(listed[0], "one of: " + ", ".join(dict.fromkeys(names)))
        return text

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text == MORE else super()._fill_text(text, width, indent)


def manual(command: Callable[[Any], None], trainer: type) -> str:
    """The help as text.

    Args:
        command: Adds the arguments of the command itself to a parser.
        trainer: The class of the trainer.
    """
    from fusionseg.data.datamodule import SegmentationDataModule
    from fusionseg.module import FusionModule

    parser = ArgumentParser(
        usage=USAGE, description=ABOUT, epilog=MORE, formatter_class=Formatter, add_help=False
    )
    parser.add_argument("-c", "--config", help="A configuration file; several are merged, later ones win.")
    command(parser)
    parser.add_argument("--seed_everything", type=int, default=0, help="What all chance depends on.")
    parser.add_argument("--print_config", action="store_true", help="Print the configuration and exit.")
    parser.add_class_arguments(FusionModule, "model", skip={"classes"})
    parser.add_class_arguments(SegmentationDataModule, "data")
    parser.add_class_arguments(trainer, "trainer")
    return parser.format_help()
