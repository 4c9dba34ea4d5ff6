"""Lightning without its advertisements."""

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
"""How messages begin that say what the run folder or the error says too; regular expressions."""

GROUNDLESS = (
    # the folder was looked at before, and is this run's
    "Experiment logs directory .* exists and is not empty",
    "Checkpoint directory .* exists and is not empty",
    # torch's, about Lightning's own code
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    # an epoch's losses are logged at its end, however short it is
    "The number of training batches .* is smaller than the logging interval",
    # the datamodule chose the number of workers for this machine, or the user did
    "The '.*_dataloader' does not have many workers",
    # a kernel of one pixel has the same memory in both layouts
    "Grad strides do not match bucket view strides",
    # Lightning's command line: its words may come from a program, and it calls jsonargparse by an old name
    "LightningCLI's args parameter",
    r"\s*``instantiate_classes`` was deprecated",
    r"\s*By default only one JsonargparseDeprecationWarning",
)
"""Warnings that do not hold here, each for the reason above it."""

LOGGERS = (
    "lightning.fabric.utilities.distributed",
    "lightning.fabric.utilities.seed",
    "lightning.fabric.utilities.rank_zero",
    "lightning.pytorch.utilities.rank_zero",
)


@contextmanager
def quiet() -> Iterator[None]:
    """A time in which Lightning says only what a user can act on."""
    loggers = [logger for logger in map(logging.getLogger, LOGGERS) if _worth_saying not in logger.filters]
    for logger in loggers:
        logger.addFilter(_worth_saying)
    try:
        with warnings.catch_warnings():
            for message in GROUNDLESS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger in loggers:
            logger.removeFilter(_worth_saying)


def _worth_saying(record: logging.LogRecord) -> bool:
    return not re.match("|".join(CHATTER), record.getMessage().strip())
