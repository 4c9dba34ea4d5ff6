"""Hands what was measured to a module's loggers, while it is fitted, validated or tested."""

from collections.abc import Mapping
from typing import Any

from fusionseg.engine.distributed import world_size


def log_now(module: Any, figures: Mapping[str, float]) -> None:
    """Hands figures to the loggers, with the epoch and the step at which they were measured."""
    for logger in module.loggers:
        logger.log_metrics({**figures, "epoch": module.current_epoch}, module.global_step)


def log_figures(module: Any, stage: str, figures: Mapping[str, float]) -> None:
    """Logs the figures of an evaluation, and has the schedule follow them while the module is fitted.

    Args:
        module: The LightningModule.
        stage: Where they were measured: `val` or `test`.
        figures: The figures by their names.
    """
    named = {f"{stage}/{name}": value for name, value in figures.items()}
    fits = module.trainer.state.fn == "fit"
    # while fitting by hand, because Lightning counts steps from 0 and differently after a resume
    module.log_dict(named, logger=False if fits else None, sync_dist=world_size() > 1)
    if fits and not module.trainer.sanity_checking:
        log_now(module, named)
        module.schedule.follow(module.trainer.lr_scheduler_configs, named)
