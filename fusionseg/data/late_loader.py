"""A DataLoader for runs that are resumed within an epoch."""

import os
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils.data import DataLoader
from typing_extensions import override

from fusionseg.data.batches import batched, collated
from fusionseg.data.samplers import EvaluationOrder, TrainOrder
from fusionseg.data.samples import EvaluationSamples, TrainSamples, quiet_worker
from fusionseg.sample import Sample


class LateLoader(DataLoader[Sample]):
    """A loader whose workers start at the first batch.

    Lightning makes the iterator before it restores the position of a resumed run, so an ordinary loader would
    begin with the wrong samples.
    """

    @override
    def __iter__(self) -> Any:
        yield from super().__iter__()

    def state_dict(self) -> dict[str, object]:
        """Empty, since the position follows from the trainer's step; Lightning requires the method."""
        return {}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Nothing to do."""


def training_loader(
    samples: TrainSamples, order: TrainOrder, batch_size: int, workers: int, pin_memory: bool
) -> LateLoader:
    """A loader of training batches.

    Args:
        samples: The views.
        order: The keys of this rank's views.
        batch_size: Samples of one batch on this rank.
        workers: Processes that prepare batches; 0 for none.
        pin_memory: Whether batches lie in memory from which they reach a GPU faster.
    """
    return LateLoader(
        samples,
        batch_size,
        sampler=order,
        drop_last=True,
        collate_fn=collated,
        **_options(workers, pin_memory),
    )


def evaluation_loader(
    samples: EvaluationSamples, order: EvaluationOrder, workers: int, pin_memory: bool
) -> LateLoader:
    """A loader of batches of whole images, as their order has them.

    Args:
        samples: The images.
        order: The batches of this rank.
        workers: As in `training_loader`.
        pin_memory: As in `training_loader`.
    """
    return image_loader(samples, order, workers, pin_memory)


def image_loader(
    samples: TrainSamples | EvaluationSamples, keys: Iterable[object], workers: int, pin_memory: bool
) -> LateLoader:
    """A loader of single samples, each as a batch of one, and of batches where a key is that of several.

    Args:
        samples: The images or views.
        keys: Which of them, in order.
        workers: As in `training_loader`.
        pin_memory: As in `training_loader`.
    """
    whole: Any = batched  # torch's type knows lists of samples alone
    return LateLoader(
        samples, batch_size=None, sampler=keys, collate_fn=whole, **_options(workers, pin_memory)
    )


def default_workers(ranks: int) -> int:
    """Worker processes of each of the ranks on this machine."""
    return min(8, max(0, len(os.sched_getaffinity(0)) // ranks - 1))


def _options(workers: int, pin_memory: bool) -> dict[str, Any]:
    """What all loaders have in common."""
    return {
        "num_workers": workers,
        "worker_init_fn": quiet_worker,
        "persistent_workers": workers > 0,
        "pin_memory": pin_memory,
        # of its own: else the loader would draw from the global one, as often as there are workers
        "generator": torch.Generator(),
    }
