"""Train: `python -m fusionseg.fit [--config FILE ...] [--key value ...]`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from fusionseg.callbacks.record import RunRecord
from fusionseg.cli import FusionCLI, door, experiment
from fusionseg.trainer import new_folder


class FitCLI(FusionCLI):
    """The command line of training, up to the trainer that is ready to fit."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_arguments_to_parser(parser)
        parser.add_argument("--out", type=Path | None, help="Run folder; runs/<time>-<experiment> where left out.")
        parser.add_argument(
            "--weights",
            type=Path | None,
            help="A segmentation model to start from: a run folder, a state dict of torchvision's DeepLabV3 or FCN, a "
            "model folder of segmentation-models-pytorch, or a safetensors file. What does not fit is listed.",
        )
        parser.add_argument(
            "--wandb",
            type=Literal["online", "offline", "disabled"] | None,
            help="Where to track; where left out as WANDB_MODE says, else online if possible.",
        )

    def before_instantiate_classes(self) -> None:
        config = self.config
        if config.wandb:
            os.environ["WANDB_MODE"] = config.wandb
        name = Path(str(config.config[-1])).stem if config.config else "synthetic"
        folder = config.out or config.trainer.default_root_dir or new_folder(name)
        self.folder = Path(folder)
        if rank_zero_only.rank == 0:
            _check_unused(self.folder)

    def instantiate_trainer(self, **kwargs: object) -> object:
        return super().instantiate_trainer(default_root_dir=self.folder, **kwargs)


def _check_unused(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any((folder / n).exists() for n in ("config.yaml", "checkpoints"))):
        raise FileExistsError(f"{folder} already holds a run: choose another folder with --out, or remove this one")


def main(args: Sequence[str]) -> None:
    """Trains as the words of a command line say."""
    cli = FitCLI(args)
    if cli.config.weights:
        from fusionseg.weights import load_whole

        load_whole(cli.model, cli.config.weights)
    record = next(c for c in cli.trainer.callbacks if isinstance(c, RunRecord))
    cli.config.trainer.precision = cli.trainer.precision
    record.config = cli.parser.dump(experiment(cli.config), skip_link_targets=True, skip_none=False)
    cli.trainer.fit(cli.model, cli.datamodule)
    if cli.trainer.is_global_zero:
        print(cli.folder)


if __name__ == "__main__":
    door(main)
