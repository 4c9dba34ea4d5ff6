"""Trains a model on several tasks, semantic and region segmentation by default."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl

import fusionseg.config
from fusionseg.callbacks.teacher_loader import TeacherLoader
from fusionseg.callbacks.training_files import TrainingFiles
from fusionseg.cli.arguments import values
from fusionseg.cli.configuration import experiment
from fusionseg.cli.fit_help import manual
from fusionseg.cli.fusion_cli import FusionCLI, configurations
from fusionseg.config.errors import UsageError
from fusionseg.config.replacement import as_defaults
from fusionseg.config.trust import untrusted
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.restore import start_from
from fusionseg.runs.resume import check_same, resuming, without_start
from fusionseg.runs.run_classes import check_same_classes, check_start, classes_of, other_regions
from fusionseg.runs.training_files import of_model
from fusionseg.sample import Classes

SYNTHETIC = Path(fusionseg.config.__path__[0]) / "synthetic.yaml"
"""The experiment where no other is named."""


@dataclass
class Options:
    """The arguments of the command itself.

    Args:
        out: Run folder; `runs/<time>-<experiment>` where left out.
        resume: Run folder to continue exactly; limits, devices, loggers, workers and data roots may change.
        weights: A model to start from: a run folder, a state dict of torchvision's DeepLabV3, FCN or Mask
            R-CNN, a model folder of segmentation-models-pytorch, or a safetensors file. What does not fit is
            listed.
        wandb: Where W&B tracks the run; left out: as WANDB_MODE says, else online if the server answers.
        trust: With `--resume` or a teacher: own packages to trust.
    """

    out: Path | None = None
    resume: Path | None = None
    weights: Path | None = None
    wandb: Literal["online", "offline", "disabled"] | None = None
    trust: str | None = None


class FitCLI(FusionCLI):
    """The command line of training, up to the trainer that is ready to fit."""

    def add_options(self, parser: Any) -> None:
        parser.add_class_arguments(Options, instantiate=False)

    def classes_of(self, data: Any) -> Any:
        classes = super().classes_of(data)
        known = classes_of(self.checkpoint) if self.checkpoint else None
        if self.checkpoint and known and isinstance(classes, Classes):
            check_same_classes(classes, known, f"a run goes on as it began ({self.checkpoint})")
            if line := other_regions(classes, known, self.checkpoint):
                raise UsageError(f"{line}; a run goes on as it began")
        return classes

    def manual(self) -> str:
        return manual(Options)

    def before_instantiate_classes(self) -> None:
        config = self.config
        if config.wandb:
            os.environ["WANDB_MODE"] = config.wandb
        self.original = config.clone()
        self.checkpoint = None
        if config.resume:
            self.run = RunFolder(config.resume)
            check_same(config, experiment(self.parser, config))
            self.checkpoint = self.run.last_checkpoint()
            if self.checkpoint:
                without_start(config, self.checkpoint)
            elif began := self.run.read_summary().get("weights"):
                config.weights = Path(began)
            self.run.claim(resume=True)
            return
        name = Path(str(config.config[-1])).stem if config.config else "synthetic"
        chosen = config.out or config.trainer.default_root_dir
        self.run = RunFolder(chosen) if chosen else RunFolder.new(name)
        self.run.claim()

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except BaseException:
            self.run.release()
            raise

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        trainer: Any = super().instantiate_trainer(default_root_dir=self.run.path, **kwargs)
        trainer.run = self.run
        return trainer  # type: ignore[no-any-return]


def main(args: Sequence[str]) -> None:
    """Trains as the arguments say and prints the run folder."""
    words = resuming(args)
    with ExitStack() as stack:
        if not configurations(words):
            words = ["--config", str(SYNTHETIC), *words]
            stack.enter_context(as_defaults(SYNTHETIC))
        if values(args, "--resume"):
            stack.enter_context(untrusted(values(args, "--trust")))
        cli = FitCLI(words)
    trainer: Any = cli.trainer
    try:
        if cli.config.weights:
            check_start(cli.model, cli.config.weights)
            start_from(cli.model, cli.config.weights)
            files = next(c for c in trainer.callbacks if isinstance(c, TrainingFiles))
            files.inherited = of_model(cli.config.weights)
            trainer.record.weights = str(cli.config.weights.resolve())
        next(c for c in trainer.callbacks if isinstance(c, TeacherLoader)).trust = values(args, "--trust")
        cli.original.trainer.precision = trainer.precision
        trainer.record.config = experiment(cli.parser, cli.original)
        trainer.fit(cli.model, cli.datamodule, ckpt_path=cli.checkpoint, weights_only=True)
    finally:
        cli.run.release()
    if trainer.is_global_zero and cli.run.path.is_dir():  # which a fast_dev_run does not leave
        if panels := cli.run.panels():
            print(f"pictures: {panels[-1]}")
        print(cli.run.path)
