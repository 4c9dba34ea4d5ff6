"""Silences messages and warnings of Lightning that a user cannot act on."""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

CHATTER = (
    r"(\[rank: \d+\] )?Seed set to",
    "Initializing distributed: GLOBAL_RANK",
    r"-{100}\ndistributed_backend",
    "Restoring states from the checkpoint",
    "Restored all states from the checkpoint",
    "GPU available",
    "TPU available",
    "HPU available",
    "💡 Tip",
    "Using bfloat16 Automatic Mixed Precision",
    "Using 16bit Automatic Mixed Precision",
    "Loading `train_dataloader` to estimate",
    "`Trainer.fit` stopped",
    "Detected KeyboardInterrupt",
    r"An? \w+ was raised with message",
)
"""Regular expressions for the beginnings of messages that repeat what the run folder or an error says."""

GROUNDLESS = (
    # the folder was checked before, and belongs to this run
    "Experiment logs directory .* exists and is not empty",
    "Checkpoint directory .* exists and is not empty",
    # a deprecation in torch that concerns Lightning's own code
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    # an epoch's losses are logged at its end, however short it is
    "The number of training batches .* is smaller than the logging interval",
    # the number of workers was chosen for this machine by the datamodule, or by the user
    "The '.*_dataloader' does not have many workers",
    # a kernel of one pixel has the same memory in both layouts
    "Grad strides do not match bucket view strides",
    # a run of one process where SLURM is installed is what was asked for, also by a study's job in SLURM
    "The `srun` command is available on your system but is not used",
    # LightningCLI: its arguments may come from a program, and it uses deprecated names of jsonargparse
    "LightningCLI's args parameter",
    r"\s*``instantiate_classes`` was deprecated",
    r"\s*By default only one JsonargparseDeprecationWarning",
)
"""Regular expressions for warnings that do not apply here, each with the reason above it."""

LOGGERS = (
    "lightning.fabric.utilities.distributed",
    "lightning.fabric.utilities.seed",
    "lightning.fabric.utilities.rank_zero",
    "lightning.pytorch.utilities.rank_zero",
)
"""The loggers through which Lightning prints the messages."""


@contextmanager
def quiet() -> Iterator[None]:
    """Within this context Lightning prints only messages and warnings that a user can act on."""
    # in nested contexts only the outer one adds and removes the filter
    loggers = [logger for logger in map(logging.getLogger, LOGGERS) if _is_useful not in logger.filters]
    for logger in loggers:
        logger.addFilter(_is_useful)
    try:
        with warnings.catch_warnings():
            for message in GROUNDLESS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_useful)


def _is_useful(record: logging.LogRecord) -> bool:
    """A logging filter that rejects the messages in `CHATTER`."""
    return not re.match("|".join(CHATTER), record.getMessage().strip())
