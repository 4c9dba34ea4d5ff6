"""Ends a training with its figures by several rules of which epoch counts, side by side."""

import math
from collections.abc import Mapping

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.table import Table

from fusionseg.callbacks.epoch_selection import OURS, Selected, rule
from fusionseg.config.errors import UsageError
from fusionseg.files.atomic import Json, write_json
from fusionseg.metrics.directions import higher_is_better, lower_is_better
from fusionseg.runs.csv_logger import MetricsLogger
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.validations import validations


class SelectionRules(Callback):
    """Reports the figures of a training by several rules of which epoch counts, and what that changes.

    Papers report the best epoch by the images that they report on, or the mean of the last ten; we report
    the last. The rules select among all validations in `metrics.csv`, also those before an interruption:

    - `last`: the last epoch;
    - `best`: the epoch with the best monitored figure (`trainer.monitor`), which is that of `best.ckpt`;
    - `best_of_last_10`, or another number: the best one among so many last epochs;
    - `best_of_each`: the best value of each figure, of whatever epoch;
    - `mean_of_last_10`, or another number: the mean over so many last epochs, or over all of fewer.

    In the end `selection_rules.json` in the run folder has for each rule the `figures`, the `epochs` that
    they are of (counted from 0) and the `differences` to those of `last`, and says whether `lower` or
    `higher` is `better`. A table of it is printed, and `fusionseg report` compares it over runs.

    Args:
        rules: The rules beside `last`, which is one in any case.

    Raises:
        ValueError: If there is no such rule, or one is named twice.
    """

    def __init__(
        self,
        rules: list[str] = ["last", "best", "mean_of_last_10"],  # noqa: B006 (never changed)
    ) -> None:
        if twice := [name for name in rules if rules.count(name) > 1]:
            raise ValueError(f"expected each rule once, found {twice[0]} twice in {rules}")
        self.rules = {name: rule(name) for name in dict.fromkeys([OURS, *rules])}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        logged = any(isinstance(logger, MetricsLogger) for logger in trainer.loggers)
        if stage == "fit" and not logged and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise UsageError(
                "SelectionRules reads metrics.csv, which `logger: false` leaves out: leave one of them out",
                "trainer.callbacks",
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            # of a training that now goes on
            RunFolder(trainer.default_root_dir).selection.unlink(missing_ok=True)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        run = RunFolder(trainer.default_root_dir)
        known = validations(run.metrics) if trainer.is_global_zero and run.metrics.is_file() else []
        if not known:
            return
        monitor = getattr(trainer, "monitor", "val/score")
        selected = {name: rule(known, monitor) for name, rule in self.rules.items()}
        write_json(run.selection, _content(selected, monitor))
        _show(selected)


def _content(selected: Mapping[str, Selected], monitor: str) -> Json:
    """What the file holds."""
    ours = selected[OURS].figures
    rules: Json = {}
    for name, (figures, epochs) in selected.items():
        rules[name] = {"epochs": epochs, "figures": figures}
        if name != OURS:
            rules[name]["differences"] = {f: v - ours[f] for f, v in figures.items() if f in ours}
    ways = {"lower": lower_is_better, "higher": higher_is_better}
    better = {figure: way for figure in ours for way, holds in ways.items() if holds(figure)}
    return {"monitor": monitor, "ours": OURS, "rules": rules, "better": better}


def _show(selected: Mapping[str, Selected]) -> None:
    """Prints the figures of each rule, and behind them their differences to ours."""
    arrow = "\N{DOWNWARDS ARROW}"
    table = Table(title="which epoch counts, and the difference to the last")
    table.add_column(f"metric ({arrow} less is better)")
    for name, (_, epochs) in selected.items():
        table.add_column(f"{name.replace('_', ' ')}\n{_listed(epochs)}", justify="right")
    for figure, value in selected[OURS].figures.items():
        others = [own.figures.get(figure, math.nan) for name, own in selected.items() if name != OURS]
        cells = [f"{value:.4f}", *(f"{other:.4f} {other - value:+.4f}" for other in others)]
        table.add_row(f"{figure} {arrow}" if lower_is_better(figure) else figure, *cells)
    Console(width=36 + 22 * len(selected), highlight=False).print(table)


def _listed(epochs: list[int]) -> str:
    """Epochs as people count them, from 1.

    >>> _listed([4]), _listed([2, 3, 4]), _listed([0, 5, 6]), _listed([])
    ('epoch 5', 'epochs 3 to 5', '3 epochs', 'none')
    """
    if len(epochs) < 2:
        return f"epoch {epochs[0] + 1}" if epochs else "none"
    whole = epochs[-1] - epochs[0] + 1 == len(epochs)
    return f"epochs {epochs[0] + 1} to {epochs[-1] + 1}" if whole else f"{len(epochs)} epochs"
