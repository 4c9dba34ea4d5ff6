"""Measures the best checkpoint of a run on the validation or test split."""

import argparse
import csv
import heapq
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.fabric import Fabric
from lightning.fabric.utilities import move_data_to_device
from rich.console import Console
from rich.progress import track

from fusionseg.cli.parser import FusionCLI
from fusionseg.config.errors import UsageError, Words, nearest
from fusionseg.config.lightning_messages import quiet
from fusionseg.engine.evaluation import Truths, common_size
from fusionseg.engine.precision import fast_precision
from fusionseg.files.atomic import replacing, write_json
from fusionseg.files.images import write_png
from fusionseg.metrics.suite import MetricSuite, total
from fusionseg.runs.checkpoints import load_state, opened
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.wandb_logger import log_tables, wandb_logger
from fusionseg.sample import Classes, Counted, Picture, Prediction, Truth
from fusionseg.visualize import legend, panel, photo, sample_row


class Scored(NamedTuple):
    """One image's answer and how good it is."""

    picture: Picture
    truth: Truth
    prediction: Prediction
    sums: Counted


def words(args: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The arguments of this command, and those that change the run's configuration."""
    parser = Words(
        "python -m fusionseg.evaluate",
        "Measures the best checkpoint of a run on a split, at the label files' own resolution. Further "
        "arguments change the run's configuration, such as --data.dataset.root where the data have moved.",
    )
    parser.add_argument("--run", type=Path, required=True, help="run folder")
    parser.add_argument("--split", choices=("val", "test"), default="val", help="which split (default: val)")
    parser.add_argument(
        "--pictures", type=int, default=4, help="how many of the best and worst images (default: 4)"
    )
    parser.add_argument("--wandb", choices=("online", "offline", "disabled"), help="as fusionseg.fit")
    known, rest = parser.parse_known_args(args)
    own = [option.removeprefix("--") for option in parser._option_string_actions if option.startswith("--")]
    for word in rest:
        name = word.split("=")[0].removeprefix("--")
        if word.startswith("--") and "." not in name and name not in ("config", "model", "data", "trainer"):
            raise UsageError(f"no such argument{nearest(name, own)}", name)
    return known, rest


def scored(model: Any, data: Any, split: str, precision: str, measures: MetricSuite) -> Iterator[Scored]:
    """Every image of a split once, in order."""
    with quiet():
        fabric = Fabric(devices=1, precision=precision)  # type: ignore[arg-type]
    model = model.to(fabric.device).eval()
    data.setup("validate" if split == "val" else "test")
    loader = data.val_dataloader() if split == "val" else data.test_dataloader()
    truths = Truths(loader.dataset)
    shown = Console(stderr=True)
    for batch in track(
        loader, f"evaluating {split}", console=shown, transient=True, disable=not shown.is_terminal
    ):
        pending = truths.start(batch)
        moved = data.on_after_batch_transfer(move_data_to_device(batch, fabric.device), 0)
        known = [truth.result() for truth in pending]
        with torch.no_grad(), fabric.autocast():
            predictions = model.predictions(moved, common_size(known))
        for i, (prediction, truth) in enumerate(zip(predictions, known, strict=True)):
            yield Scored(photo(batch, i), truth, prediction, measures.sums(prediction, truth))


def evaluate(
    model: Any, data: Any, split: str, folder: Path, precision: str, pictures: int = 4
) -> dict[str, Any]:
    """Measures a model on a split and writes `<split>.json`, `.csv`, `.npz` and pictures into a folder.

    Args:
        model: A LightningModule with `predictions(batch, size)`.
        data: A LightningDataModule that keeps the contract of a sample.
        split: `val` or `test`.
        folder: Where to write.
        precision: As Lightning's.
        pictures: How many of the best and of the worst images are drawn.

    Returns:
        What the JSON file holds: `metrics`, `per_class`, `split`, `images`.
    """
    measures = getattr(model, "measures", None) or MetricSuite.standard(data.classes)
    rows: list[dict[str, Any]] = []
    kept: list[Counted] = []
    extremes: dict[str, list[tuple[float, int, Scored]]] = {"best": [], "worst": []}
    for n, image in enumerate(scored(model, data, split, precision, measures)):
        figures = measures.figures(image.sums)
        rows.append({"name": image.prediction.name, **figures})
        kept.append(image.sums)
        for sign, heap in zip((1, -1), extremes.values(), strict=True):
            heapq.heappush(heap, (sign * figures["score"], -n, image))
            if len(heap) > pictures:
                heapq.heappop(heap)
    result = _result(measures, kept, data.classes) | {"split": split, "images": len(rows)}
    write_json(folder / f"{split}.json", result)
    _write_rows(folder / f"{split}.csv", rows)
    _write_sums(folder / f"{split}.npz", [row["name"] for row in rows], kept)
    for which, heap in extremes.items():
        shutil.rmtree(folder / f"{split}_{which}", ignore_errors=True)  # an earlier evaluation's
        for score, _, image in heap:
            _draw(
                folder / f"{split}_{which}" / f"{image.prediction.name}.png", image, abs(score), data.classes
            )
    return result


def _result(measures: MetricSuite, images: list[Counted], classes: Classes) -> dict[str, Any]:
    """The figures of a set of images, and those of each class by its name."""
    added = total(images)
    columns = measures.per_class(added)
    rows = {name: {key: values[i] for key, values in columns.items()} for i, name in enumerate(classes.names)}
    return {"metrics": measures.figures(added), "per_class": rows}


def _write_sums(path: Path, names: list[str], images: list[Counted]) -> None:
    sums: dict[str, Any] = {key: np.stack([image[key] for image in images]) for key in images[0]}
    with replacing(path) as draft:
        np.savez_compressed(draft, name=names, **sums)


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    with replacing(path) as draft, draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)


def _draw(path: Path, image: Scored, score: float, classes: Any) -> None:
    row = sample_row(image.picture, image.truth, image.prediction, classes)
    shown = [m for m in (image.truth.semantic, image.prediction.get("semantic")) if m is not None]
    write_png(path, panel([row], [f"{image.prediction.name}  score {score:.3f}"], legend(shown, classes)))


def _track(run: RunFolder, split: str, result: dict[str, Any], classes: Any) -> None:
    """Adds the figures to the W&B run that trained the model."""
    summary = run.read_summary()
    logger = wandb_logger(run.path, run.wandb_id) if run.wandb_id else None
    if logger is None:
        return
    rows = list(result["per_class"].values())
    columns = {key: [row[key] for row in rows] for key in next(iter(rows), {})}
    log_tables([logger], split, classes, columns, summary["best"].get("epoch", 0))
    logger.experiment.summary.update({f"{split}/{name}": value for name, value in result["metrics"].items()})
    logger.finalize("success")
    if logger.notice:
        print(logger.notice, file=sys.stderr)


def _normalization(checkpoint: Path) -> list[str]:
    """Arguments in place of the weights that the run began with, whose file or server may be gone by now."""
    backbone = opened(checkpoint).get("hyper_parameters", {}).get("backbone")
    known = backbone if isinstance(backbone, dict) else {}
    return [
        f"--model.backbone.{key}={json.dumps(known[key])}"
        for key in ("weights", "mean", "std")
        if key in known
    ]


def main(args: Sequence[str]) -> None:
    """Evaluates as the words of a command line say."""
    known, rest = words(args)
    if known.wandb:
        os.environ["WANDB_MODE"] = known.wandb
    run = RunFolder(known.run)
    config, checkpoint = run.configuration(), run.best_checkpoint()
    cli = FusionCLI(["--config", str(config), *_normalization(checkpoint), *rest], trains=False)
    load_state(cli.model, checkpoint)
    precision = str(cli.config.trainer.precision or fast_precision())
    folder = run.evaluation
    result = evaluate(cli.model, cli.datamodule, known.split, folder, precision, known.pictures)
    _track(run, known.split, result, cli.datamodule.classes)
    for name, value in result["metrics"].items():
        print(f"{known.split}/{name:20} {value:.4f}")
    print(folder / f"{known.split}.json")
