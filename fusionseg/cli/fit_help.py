"""The text of training's `--help`: the project's own settings, and the names of its parts."""

import importlib
import inspect

import lightning.pytorch as pl
from jsonargparse import ArgumentParser

from fusionseg.balancing import Balancer
from fusionseg.cli.help import columns, settings, wrapped
from fusionseg.config.type_names import names
from fusionseg.data.base import SegmentationDataset
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.image_classes import ImageClasses
from fusionseg.data.sampling import Sampling
from fusionseg.heads import Head
from fusionseg.losses import Loss
from fusionseg.module import FusionModule
from fusionseg.networks import Network
from fusionseg.networks.backbone import Backbone
from fusionseg.regularization import Regularizer
from fusionseg.trainer import Trainer

USAGE = "usage: python -m fusionseg.fit [--config FILE ...] [--key value ...] [--out DIR]"
ABOUT = """Trains several tasks on one network, by default semantic and region segmentation. Every setting is
a key of the configuration and an argument; later ones win. Where no default is shown it is null."""
ALSO = {
    "--config": "YAML file with settings; several are merged in their order.",
    "--seed_everything": "Seed of all random numbers (default 0)",
    "--print_config": "Print the configuration and exit.",
}
"""Arguments that LightningCLI adds."""

LIGHTNINGS = ("--trainer.help", "Lists all further arguments of Lightning's Trainer (max_steps ...)")
MORE = """\
A part's own settings: --model.region_head.help DistanceHead, --model.balancer.help MGDA,
--data.dataset.help CamVid, --trainer.callbacks.help EarlyStopping. Of your own: --model
my_package.MyModule --data my_package.MyData (see fusionseg.cli.fusion_cli.FusionCLI).

Examples:
  learning rate  --model.optimizer.lr 0.001; of the encoder: --model.encoder_lr 0.1
  losses         --model.semantic_head.losses "[CrossEntropy, Dice]"
  class weights  --model.semantic_head.losses "[{class_path: CrossEntropy,
                 init_args: {class_weights: balanced}}]"
  rare classes   --data.sampling RepeatFactorSampling --data.sampling.threshold 0.05
  more tasks     --model.extra_heads "{depth: {head: DepthHead, weight: 0.5}}"
                 --data.dataset SyntheticScenes --data.dataset.depth true
  regions        --model.region_head CenterOffsetHead --model.region_head.sigma 6; without: null
  a download     python -m fusionseg inspect --data.dataset PascalVOC --data.dataset.root data/voc
  a run again    --config runs/camvid/config.yaml --out runs/camvid-again"""

FAMILIES: dict[str, type] = {
    "heads": Head,
    "losses": Loss,
    "networks": Network,
    "balancers": Balancer,
    "datasets": SegmentationDataset,
    "samplings": Sampling,
    "regularizers": Regularizer,
}
"""Base classes of the parts whose names are listed."""


def manual(options: type) -> str:
    """The help of training.

    Args:
        options: The arguments of the command itself, as a dataclass.
    """
    sections = {
        "Command:": {**settings(options), **ALSO},
        "Model (--model.help FusionModule or ClassificationModule tells more):": {
            **settings(FusionModule, "model.", ("classes", "backbone")),
            **settings(Backbone, "model.backbone."),
        },
        "Data (--data.help SegmentationDataModule or ClassificationDataModule tells more):": settings(
            SegmentationDataModule, "data."
        ),
        "Trainer:": {**settings(Trainer, "trainer."), **dict([LIGHTNINGS])},
    }
    lines = [USAGE, "", *wrapped(ABOUT)]
    for title, entries in sections.items():
        lines += ["", title, *(line for name, text in entries.items() for line in columns(name, text))]
    lines += ["", "Names of parts:"]
    for family, base in FAMILIES.items():
        public = importlib.import_module(base.__module__.rpartition(".")[0])
        shown = ", ".join(name for name in names(base) if hasattr(public, name))
        lines += columns(family, shown, 13)
    return "\n".join([*lines, "", MORE, ""])


def dataset_lines() -> list[str]:
    """What each data set of the package is that has label maps."""
    public = importlib.import_module("fusionseg.data")
    every = [getattr(public, name) for name in names(SegmentationDataset) if hasattr(public, name)]
    known = [one for one in every if not issubclass(one, ImageClasses)]
    lines = ["Data sets (--data.dataset.help NAME lists the settings of one):"]
    for one in (one for one in known if "split" in inspect.signature(one).parameters):
        lines += columns(one.__name__, (inspect.getdoc(one) or "").partition("\n")[0].rstrip("."), 20)
    return lines


def trainer_manual() -> str:
    """The help of what `--trainer` accepts beside the project's own settings."""
    parser = ArgumentParser(usage="--trainer.NAME VALUE ...", add_help=False)
    own = set(inspect.signature(Trainer).parameters) - {"kwargs"}
    parser.add_class_arguments(pl.Trainer, "trainer", skip=own)
    return parser.format_help()
