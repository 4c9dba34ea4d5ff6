"""Measures the best checkpoint of a run on the validation or test split."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fusionseg.calibration import files as calibration_files
from fusionseg.calibration.measured import Calibration
from fusionseg.cli.arguments import switched, values
from fusionseg.cli.fusion_cli import FusionCLI
from fusionseg.cli.help import options_manual
from fusionseg.config.errors import UsageError
from fusionseg.config.trust import untrusted
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.engine.passes import Passes, answering
from fusionseg.engine.precision import fast_precision
from fusionseg.engine.receptive_field import tile_notice
from fusionseg.files.atomic import Json
from fusionseg.heads import Head
from fusionseg.robustness.report import report, requested
from fusionseg.runs.checkpoints import load_state
from fusionseg.runs.decoder import digest, tuned
from fusionseg.runs.evaluation_files import Measure, evaluate, track
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.restore import arguments
from fusionseg.runs.run_classes import with_run_classes
from fusionseg.runs.training_files import check_unseen, namesakes
from fusionseg.sample import Classes
from fusionseg.scores.official import OfficialScores

ABOUT = """Measures the best checkpoint of a run on a split, at the label files' own resolution, and writes
JSON, CSV and pictures into the run folder's evaluation/ (with --checkpoint last: evaluation/last/). Further
arguments change the run's configuration: any key of `python -m fusionseg.fit --help`, such as
--data.dataset.root where the data have moved."""

SWITCHES = ("trained", "untuned", "official", "calibration")


@dataclass
class Options:
    """The arguments of the command itself.

    Args:
        run: Run folder.
        split: Which split.
        checkpoint: The epoch with the best validation score, or the last one, whose files have a folder of
            their own.
        pictures: How many of the best and of the worst images are drawn.
        wandb: Where W&B tracks the figures, as in fusionseg.fit.
        trust: A package of your own whose classes the run may name; several with commas between. A run may be
            anybody's, so without this only classes of fusionseg and the libraries below it are built.
        map_classes: YAML file that maps names of the data's classes to those of the run, or to null for void;
            with it the data may have other classes, or the same in another order.
        trained: Score images that the run was trained on all the same.
        official: Also what `fusionseg score` measures: boundaries and regions as the Berkeley benchmark,
            semantic and instance scores by every definition; about a second of a core for each image.
        calibration: Also whether probabilities of classes and boundaries are right: calibration errors, Brier
            score, likelihood and risk over coverage, with diagrams.
        band: How far from true boundaries, in pixels, the probability of boundaries is measured; 0.0075 of
            the image's diagonal where left out.
        untuned: Decode as the run was trained, also where `fusionseg tune` found something better.
        tile: The network sees images in tiles of so many pixels of its input, which takes less memory; its
            outputs are put together before they are decoded. What is measured so has a folder of its own.
        overlap: How many pixels two neighboring tiles share.
        tta: Test-time augmentation, such as flip,0.75,1.25: mirrored images and further sizes are seen too,
            and the mean of what is predicted is decoded. What is measured so has a folder of its own.
        corruptions: Measure under corruptions of the validation images instead: all, or names or families
            with commas between, such as fog,noise,jpeg.
        severities: Their severities, such as 3 or 1,3,5; 1..5 where left out.
        beside: Runs that were measured so before, with commas between, to be shown beside this one.
    """

    run: Path
    split: Literal["val", "test"] = "val"
    checkpoint: Literal["best", "last"] = "best"
    pictures: int = 4
    wandb: Literal["online", "offline", "disabled"] | None = None
    trust: str | None = None
    map_classes: Path | None = None
    trained: bool = False
    official: bool = False
    calibration: bool = False
    band: float | None = None
    untuned: bool = False
    tile: int | None = None
    overlap: int = 128
    tta: str = ""
    corruptions: str | None = None
    severities: str | None = None
    beside: str | None = None


class EvaluateCLI(FusionCLI):
    """The command line of evaluation: that of training with the run's configuration, without a trainer."""

    plain = ("trainer",)

    def add_options(self, parser: Any) -> None:
        parser.add_class_arguments(Options, instantiate=False)

    def classes_of(self, data: Any) -> Any:
        classes = super().classes_of(data)
        run = RunFolder(self.config.run)
        path = run.best if self.config.checkpoint == "best" else run.last
        return with_run_classes(data, path, self.config.get("map_classes")) if path.is_file() else classes

    def manual(self) -> str:
        return options_manual("fusionseg.evaluate --run DIR [--split test] [--key value ...]", ABOUT, Options)


def main(args: Sequence[str]) -> None:
    """Evaluates as the arguments say and prints the figures and the file."""
    args = switched([re.sub("^--map-classes", "--map_classes", word) for word in args], SWITCHES)
    named = values(args, "--run")
    known = arguments(RunFolder(named[-1]), asked_checkpoint(args)) if named else []
    with untrusted(values(args, "--trust")):
        cli = EvaluateCLI([*known, *args])
    config = cli.config
    passes = Passes.of(config.tile, config.overlap, config.tta)
    _check_band(config)
    if config.wandb:
        os.environ["WANDB_MODE"] = config.wandb
    run = RunFolder(config.run)
    answering(cli.model, passes=passes)  # refuses what it cannot do, before an image is read
    request = requested(config, cli.datamodule, passes)
    load_state(cli.model, run.checkpoint(config.checkpoint))
    decoder = None if config.untuned else tuned(cli.model, run, config.checkpoint)
    if not config.trained:
        check_images(run, cli.datamodule, config.split, "score them all the same with --trained true")
    precision = str(config.trainer.get("precision") or fast_precision())
    for line in (decoder.line(config.split) if decoder else "", tile_notice(cli.model, passes)):
        if line:
            print(line, file=sys.stderr)
    record = decoder.record if decoder else None
    if request:
        weights = {"checkpoint": digest(run.checkpoint(config.checkpoint)), "decoder": record}
        print(report(cli.model, cli.datamodule, run, request, precision, weights))
        return
    result = _evaluated(cli, run, precision, record, passes)
    if passes.plain:
        track(run, config.split, result, cli.datamodule.classes)
    _print(result, config.split)
    for note in result["notes"]:
        print(f"{config.split}: {note}", file=sys.stderr)
    print(run.evaluated(config.split, config.checkpoint, passes.name))


def _evaluated(
    cli: EvaluateCLI, run: RunFolder, precision: str, decoder: Json | None, passes: Passes
) -> Json:
    """Measures a model and writes what was measured; gives what `evaluate` does."""
    config = cli.config
    folder = run.evaluated(config.split, config.checkpoint, passes.name).parent
    chosen = (config.split, folder, precision, config.pictures, config.checkpoint)
    classes = cli.datamodule.classes
    calibration = _calibration(cli.model, classes, config.band) if config.calibration else None
    with _further(classes, config.official, calibration) as further:
        result = evaluate(cli.model, cli.datamodule, *chosen, decoder=decoder, further=further, passes=passes)
    if calibration:
        calibration_files.write(calibration, folder, config.split)
    else:
        calibration_files.remove(folder, config.split)
    return result


def _check_band(config: Any) -> None:
    """Raises a UsageError if a band is negative or nothing is measured in it."""
    if config.band is not None and not config.calibration:
        raise UsageError("expected --calibration true beside it, which measures in the band", "band")
    if config.band is not None and not config.band >= 0:
        raise UsageError(f"expected 0 or more pixels, found {config.band}", "band")


def _calibration(model: Any, classes: Classes, band: float | None) -> Calibration:
    """What measures the calibration of a model, whose heads know their temperatures."""
    heads = getattr(model, "heads", {}).items()
    temperatures = {task: head.temperature for task, head in heads if isinstance(head, Head)}
    return Calibration(classes, temperatures, band)


@contextmanager
def _further(
    classes: Classes, official: bool, calibration: Calibration | None
) -> Iterator[dict[str, Measure]]:
    """What measures more than the model's metrics, by the key of its figures."""
    found: dict[str, Measure] = {"calibration": calibration} if calibration else {}
    if not official:
        yield found
        return
    with OfficialScores(classes) as scores:
        yield {"official": scores, **found}


def _print(result: Json, split: str) -> None:
    """Prints the figures, each with its kind."""
    kinds = {"": result["metrics"]}
    kinds |= {f"official/{kind}/": figures for kind, figures in result.get("official", {}).items()}
    calibration = result.get("calibration", {})
    kinds |= {"calibration/": calibration.get("metrics", {})}
    kinds |= {"calibration/untempered/": calibration.get("untempered", {})}
    for kind, figures in kinds.items():
        for name, value in figures.items():
            print(f"{split}/{kind}{name:20} {value:.4f}")


def asked_checkpoint(args: Sequence[str]) -> Literal["best", "last"]:
    """Which checkpoint the arguments name, as the configuration is completed from it."""
    return "last" if values(args, "--checkpoint")[-1:] == ["last"] else "best"


def check_images(run: RunFolder, data: Any, split: Literal["val", "test"], remedy: str = "") -> None:
    """Raises a DataError, with what else could be done, if some images of the split were trained on."""
    if isinstance(data, SegmentationDataModule):
        remedies = ["choose other data", *([remedy] if remedy else [])]
        check_unseen(run.training_files, data.dataset(split), ", or ".join(remedies))
        if line := namesakes(run.training_files, data.dataset(split)):
            print(line, file=sys.stderr)
