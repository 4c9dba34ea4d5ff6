"""Batch statistics of an encoder, re-estimated on the images of another data set."""

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

from fusionseg.engine.distributed import reduced, world_size
from fusionseg.networks import Network

STEPS = 200
"""The statistics are means over so many training steps at most."""


@torch.no_grad()
def reestimate(network: Network, trainer: Any) -> None:
    """Replaces the running statistics of an encoder's batch norms by those of the training images.

    This is adaptive batch normalization (AdaBN, Li et al., arXiv:1603.04779). The images are those of the
    first training steps, with their views; each step's statistics count alike, over all ranks.

    Args:
        network: The network, on its device.
        trainer: The trainer, with the data.
    """
    count = int(min(STEPS, trainer.num_training_batches))
    data = getattr(trainer, "datamodule", None)
    loader = trainer.train_dataloader if data is None else data.train_dataloader()

    def images() -> Iterator[Tensor]:
        for batch in islice(loader, count):
            yield trainer.strategy.batch_to_device(batch)["image"]

    with trainer.precision_plugin.train_step_context():
        update_bn(images(), network.encoder)
    if world_size() > 1:
        for norm in network.encoder_norms():
            for statistics in (norm.running_mean, norm.running_var):
                statistics.copy_(reduced(statistics) / world_size())
    if trainer.is_global_zero:
        print(f"batch statistics of the encoder: those of {count} training steps", file=sys.stderr)
