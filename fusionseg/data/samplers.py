"""Samplers: the images of every step, a function of the seed and the epoch.

Both are `DistributedSampler`s, because Lightning keeps those and sets their epoch, with any strategy.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset, DistributedSampler

Key: TypeAlias = tuple[int, int, int]
"""The epoch, an image's index, and how often the epoch's order had it before."""

LOOKAHEAD = 8
"""Batches that evaluation looks ahead for images of equal size."""


class TrainOrder(DistributedSampler[Key]):
    """The keys (epoch, index, occurrence) of one rank's training samples.

    An epoch's order is cut into global batches, and each rank takes its contiguous share of each one: any
    number of ranks sees the same global batches. An incomplete last batch is dropped. The epoch is part of
    the key, so that workers that live for several epochs know it; the occurrence is, so that an image that
    comes several times in an epoch has another view each time.

    Args:
        num_samples: Number of images of an epoch.
        batch_size: Samples of one batch of one rank.
        rank: This process's rank.
        world_size: Number of ranks.
        seed: What the order depends on besides the epoch.
        done: Called at the start of an epoch for the number of its batches that an earlier run has seen.
        order: Gives the `num_samples` images of an epoch, in order; by default a permutation.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        seed: int = 0,
        done: Callable[[], int] = int,
        order: Callable[[np.random.Generator], npt.NDArray[np.int64]] | None = None,
    ) -> None:
        super().__init__(cast(Dataset[Key], range(num_samples)), world_size, rank, seed=seed)
        self.batch_size = batch_size
        self.num_batches = num_samples // (batch_size * world_size)
        self.done = done
        self.order = order or (lambda rng: rng.permutation(num_samples))

    def __len__(self) -> int:
        return self.num_batches * self.batch_size

    def __iter__(self) -> Iterator[Key]:
        order = self.order(np.random.default_rng((self.seed, self.epoch)))
        keys = np.column_stack((order, occurrences(order)))
        batches = keys[: len(self) * self.num_replicas].reshape(
            self.num_batches, self.num_replicas, self.batch_size, 2
        )
        own = batches[self.done() :, self.rank].reshape(-1, 2)
        return ((self.epoch, index, occurrence) for index, occurrence in own.tolist())


def occurrences(order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How often each index of an order came before, (N,).

    >>> occurrences(np.array([7, 2, 7, 7]))
    array([0, 0, 1, 2])
    """
    sorting = order.argsort(kind="stable")
    changes = np.flatnonzero(np.diff(order[sorting], prepend=-1))
    lengths = np.diff(changes, append=len(order))
    found = np.empty_like(order)
    found[sorting] = np.arange(len(order)) - np.repeat(changes, lengths)
    return found


class EvaluationOrder(DistributedSampler[tuple[int, ...]]):
    """The batches of one rank's share in evaluation: every image once, whatever the number of ranks.

    A batch has images of one size, the next ones of the rank's share. Those of a rare size do not wait for
    each other without end: a batch goes when the share is `LOOKAHEAD` batches further than its first image.

    Args:
        num_samples: Number of images.
        rank: This process's rank.
        world_size: Number of ranks.
        batch_size: Images of a batch at most.
        size: Gives the size of an image; all have the same where left out.

    Attributes:
        indices: The images of the share, in order.
        batches: Those of each batch.
    """

    def __init__(
        self,
        num_samples: int,
        rank: int = 0,
        world_size: int = 1,
        batch_size: int = 1,
        size: Callable[[int], Hashable] | None = None,
    ) -> None:
        super().__init__(cast(Dataset[tuple[int, ...]], range(num_samples)), world_size, rank, shuffle=False)
        self.indices = range(rank, num_samples, world_size)
        # a batch of one needs no size, which may have to be read
        alike = size if size is not None and batch_size > 1 else _any_size
        self.batches = _of_equal_size(self.indices, batch_size, alike)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return iter(self.batches)


def _any_size(index: int) -> None:
    """The size of an image where all may share a batch."""


def _of_equal_size(
    indices: Sequence[int], batch_size: int, size: Callable[[int], Hashable]
) -> list[tuple[int, ...]]:
    """The batches of images in order, each of one size."""
    batches: list[tuple[int, ...]] = []
    waiting: dict[Hashable, list[int]] = {}  # by size, that of the first image first
    begun: dict[Hashable, int] = {}
    for position, index in enumerate(indices):
        own = size(index)
        waiting.setdefault(own, []).append(index)
        begun.setdefault(own, position)
        full = [own] if len(waiting[own]) == batch_size else []
        late = [one for one in waiting if position - begun[one] >= LOOKAHEAD * batch_size and one not in full]
        for one in (*late, *full):
            batches.append(tuple(waiting.pop(one)))
            del begun[one]
    return [*batches, *map(tuple, waiting.values())]
