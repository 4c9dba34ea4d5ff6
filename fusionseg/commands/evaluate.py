"""Measures the best checkpoint of a run on the validation or test split."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fusionseg.cli.parser import FusionCLI
from fusionseg.config.errors import UsageError, Words, nearest
from fusionseg.engine.precision import fast_precision
from fusionseg.runs.checkpoints import load_state, opened
from fusionseg.runs.evaluation_files import evaluate
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.wandb_logger import log_tables, wandb_logger


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
