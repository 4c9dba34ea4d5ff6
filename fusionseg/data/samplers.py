"""Samplers: the images of every step, a function of the seed and the epoch.

Both are `DistributedSampler`s, because Lightning keeps those and sets their epoch, with any strategy.
"""

from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset, DistributedSampler


class TrainOrder(DistributedSampler[tuple[int, int]]):
    """The keys (epoch, index) of one rank's training samples.

    An epoch's order is cut into global batches, and each rank takes its contiguous share of each one: any
    number of ranks sees the same global batches. An incomplete last batch is dropped. The epoch is part of
    the key, so that workers that live for several epochs know it.

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
        super().__init__(cast(Dataset[tuple[int, int]], range(num_samples)), world_size, rank, seed=seed)
        self.batch_size = batch_size
        self.num_batches = num_samples // (batch_size * world_size)
        self.done = done
        self.order = order or (lambda rng: rng.permutation(num_samples))

    def __len__(self) -> int:
        return self.num_batches * self.batch_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = self.order(np.random.default_rng((self.seed, self.epoch)))
        batches = order[: len(self) * self.num_replicas].reshape(
            self.num_batches, self.num_replicas, self.batch_size
        )
        return ((self.epoch, index) for index in batches[self.done() :, self.rank].ravel().tolist())


class EvaluationOrder(DistributedSampler[int]):
    """The indices of one rank's share in evaluation: every image once, whatever the number of ranks.

    Args:
        num_samples: Number of images.
        rank: This process's rank.
        world_size: Number of ranks.
    """

    def __init__(self, num_samples: int, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(cast(Dataset[int], range(num_samples)), world_size, rank, shuffle=False)
        self.indices = range(rank, num_samples, world_size)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)
