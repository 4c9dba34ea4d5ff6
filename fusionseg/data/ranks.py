"""What the ranks of a run do one for the others, or one before the others, with their data."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from lightning.pytorch import Trainer

from fusionseg.data.base import SegmentationDataset
from fusionseg.data.cache import Cache, cached
from fusionseg.data.room import check_memory

T = TypeVar("T")


def rank_and_number(trainer: Trainer | None) -> tuple[int, int]:
    """This process's rank and the number of ranks."""
    return (trainer.global_rank, trainer.world_size) if trainer else (0, 1)


def is_on_gpu(trainer: Trainer | None) -> bool:
    """Whether this process's batches go to a GPU."""
    return trainer is not None and trainer.strategy.root_device.type == "cuda"


def on_first_rank(make: Callable[[], T], trainer: Trainer | None) -> T:
    """What a function gives on rank 0, for all ranks; the others wait and do not call it.

    Raises:
        Exception: On all ranks, whatever the function raised.
    """
    if trainer is None:
        return make()
    made: list[T | Exception] = []
    if trainer.global_rank == 0:
        try:
            made = [make()]
        except Exception as error:
            made = [error]
    [result] = trainer.strategy.broadcast(made, 0)
    if isinstance(result, Exception):
        raise result
    return result


def cached_in_turn(
    datasets: Sequence[SegmentationDataset], cache: Cache, folder: str | None, trainer: Trainer | None
) -> list[SegmentationDataset]:
    """The splits with their images cached; one rank of each machine fills the disk while the others wait."""
    waiting = trainer if cache != "none" else None
    if cache == "memory":
        check_memory(datasets, trainer.num_devices if trainer else 1)
    if waiting and (waiting.local_rank or cache == "memory"):
        waiting.strategy.barrier()
    kept = [cached(dataset, cache, folder) for dataset in datasets]
    if waiting and not waiting.local_rank and cache == "disk":
        waiting.strategy.barrier()
    return kept


def say_once(notices: Iterable[str], trainer: Trainer | None) -> None:
    """Prints lines on the first rank, each once."""
    if rank_and_number(trainer)[0] == 0:
        for notice in dict.fromkeys(notices):
            print(notice, file=sys.stderr)
