"""`python -m fusionseg.studies.resolve IN OUT`: parses command lines of `fit` and builds what they name.

A process of its own, so that the driver of a study imports nothing heavy and no fork follows a computation.
"""

import contextlib
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fusionseg.config.errors import UsageError
from fusionseg.files.atomic import Json

FAILED = 3
"""The exit code where a command line cannot be used, and the file OUT says why."""


def resolved(commands: Sequence[Sequence[str]]) -> list[Json]:
    """What comes of command lines of `fit`, in a process of its own.

    Args:
        commands: The arguments of each.

    Returns:
        For each `config` (YAML, as in `config.yaml`), `precision`, `parameters` and `figures` (the names that
        its validation logs, none where a model does not tell), or `error`.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.json"
        target = Path(folder) / "out.json"
        source.write_text(json.dumps([list(command) for command in commands]), encoding="utf-8")
        command = [sys.executable, "-m", "fusionseg.studies.resolve", str(source), str(target)]
        done = subprocess.run(command, capture_output=True, text=True)
        if not target.is_file():
            raise UsageError(f"the variants cannot be built: {done.stderr.strip()[-2000:]}")
        found: list[Json] = json.loads(target.read_text(encoding="utf-8"))
    return found


def _main(source: Path, target: Path) -> None:
    commands = json.loads(source.read_text(encoding="utf-8"))
    with contextlib.redirect_stdout(sys.stderr):
        found = [_resolved(command) for command in commands]
    target.write_text(json.dumps(found), encoding="utf-8")


def _resolved(args: list[str]) -> Json:
    from fusionseg.cli.configuration import experiment
    from fusionseg.cli.entry import message_of
    from fusionseg.config.remedies import remedied
    from fusionseg.studies.plan_cli import PlanCLI

    try:
        cli = PlanCLI(args)
        return {
            "config": experiment(cli.parser, cli.original),
            "precision": str(cli.original.trainer.precision),
            "parameters": sum(parameter.numel() for parameter in cli.model.parameters()),
            "figures": _figures(cli.model),
            "steps": _steps(cli),
        }
    except SystemExit as stop:
        return {"error": f"it asks to exit with {stop.code}"}
    except Exception as error:  # of any part, which the study reports by the variant's name
        return {"error": message_of(remedied(error) or error)}


def _steps(cli: Any) -> int | None:
    """The steps that training makes; None where that is not known before."""
    from fusionseg.data.datamodule import SegmentationDataModule

    trainer = cli.original.trainer
    if (trainer.get("max_steps") or -1) > 0:
        return int(trainer.max_steps)
    data = cli.datamodule
    if not isinstance(data, SegmentationDataModule):
        return None
    batches: int = len(data.train_dataloader())
    limit = trainer.get("limit_train_batches")
    if limit is not None:
        batches = min(batches, limit) if isinstance(limit, int) else int(limit * batches)
    accumulated: int = trainer.get("accumulate_grad_batches", 1)
    return int(trainer.max_epochs) * math.ceil(batches / accumulated)


def _figures(model: Any) -> list[str]:
    """The figures that validation logs, by their names."""
    suite = getattr(model, "suite", None)
    if suite is None:
        return []
    sums = {name: getattr(metric, name).numpy() for metric in suite for name in metric.names}
    losses = ["loss", *(f"loss_{task}" for task in getattr(model, "tasks", ()))]
    return [f"val/{name}" for name in (*suite.figures(sums), *losses)]


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
