"""`python -m fusionseg.studies.resolve`: parses command lines of `fit` and builds what they name.

A process of its own, so that the driver of a study imports nothing heavy and no fork follows a computation.
It stays until it is closed, because its imports take seconds and a command line takes tenths of one. Command
lines come in and what is found of them goes out as lines of JSON.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from fusionseg.config.errors import UsageError
from fusionseg.files.atomic import Json


class Resolver:
    """Says what comes of command lines of `fit`; its process starts with the first one.

    Called with the arguments of several, it returns for each `config` (YAML, as in `config.yaml`),
    `precision`, `parameters`, `figures` (the names that its validation logs, none where a model does not
    tell) and `steps`, or `error`.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._errors: Any = None

    def __enter__(self) -> "Resolver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, commands: Sequence[Sequence[str]]) -> list[Json]:
        """What comes of each command line.

        Raises:
            UsageError: If the process died, as for want of memory.
        """
        return [self._resolved(list(command)) for command in commands]

    def close(self) -> None:
        """Ends the process; a further call starts another one."""
        if self._process is not None:
            self._process.communicate()
            self._errors.close()
            self._process = None

    def _resolved(self, command: list[str]) -> Json:
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(command) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            code = process.wait()
            self._errors.seek(0)
            reason = self._errors.read().strip()[-2000:] or f"the process that builds them ended with {code}"
            raise UsageError(f"the variants cannot be built: {reason}")
        found: Json = json.loads(answer)
        return found

    def _start(self) -> "subprocess.Popen[str]":
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fusionseg.studies.resolve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,  # so that Ctrl-C reaches the driver alone
        )
        return self._process


def _main() -> None:
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # what a part prints while it is built
        for line in sys.stdin:
            answers.write(json.dumps(_resolved(json.loads(line))) + "\n")
            answers.flush()


def _resolved(args: list[str]) -> Json:
    from fusionseg.cli.configuration import experiment
    from fusionseg.cli.entry import message_of
    from fusionseg.config.remedies import remedied
    from fusionseg.engine.evaluation import validation_figures
    from fusionseg.studies.plan_cli import PlanCLI

    try:
        cli = PlanCLI(args)
        return {
            "config": experiment(cli.parser, cli.original),
            "precision": str(cli.original.trainer.precision),
            "parameters": sum(parameter.numel() for parameter in cli.model.parameters()),
            "figures": validation_figures(cli.model),
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


if __name__ == "__main__":
    _main()
