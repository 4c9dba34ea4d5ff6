"""Logs the report of a study to Weights & Biases, as one run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from fusionseg.runs.wandb_logger import wandb_logger
from fusionseg.sample import Picture

TrackedTable: TypeAlias = tuple[Sequence[str], Sequence[Sequence[str | int | float | bool | None]]]
"""The columns and the rows of a table."""


def log_report(
    folder: Path, study: str, tables: Mapping[str, TrackedTable], pictures: Mapping[str, Picture]
) -> str:
    """Logs tables and pictures as one run of the study's group, with the job type `report`.

    Args:
        folder: Where an offline run is kept.
        study: The name of the study.
        tables: Tables by name.
        pictures: Pictures by name.

    Returns:
        A line about where the run is and how to upload it; empty if it is online or disabled.

    Raises:
        UserError: If the server cannot be had that `WANDB_MODE` asks for.
    """
    logger = wandb_logger(folder, job_type="report")
    if logger is None:
        return ""
    import wandb

    logger.options |= {"name": f"{study} report", "group": study}
    logged: dict[str, object] = {
        f"report/{name}": wandb.Table(columns=list(columns), data=[list(row) for row in rows])
        for name, (columns, rows) in tables.items()
    }
    logged |= {f"report/{name}": wandb.Image(picture) for name, picture in pictures.items()}
    logger.experiment.log(logged)
    logger.finalize("success")
    return logger.notice
