"""Which images a step sees, from the seed and the epoch alone.

Both orders are `DistributedSampler`s, because Lightning leaves those as they are and tells them the
epoch, with any strategy.
"""

from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset, DistributedSampler


class TrainOrder(DistributedSampler[Any]):
    """The keys (epoch, index) of one rank's training samples.

    An epoch's order is cut into global batches, and each rank takes its contiguous share of each one: any number of
    ranks sees the same global batches. What is left over at the end is not seen in this epoch. The epoch is part of the
    key, so that workers that outlive an epoch know it.

    Args:
        num_samples: Number of images that an epoch goes through.
        batch_size: Samples of one batch of one rank.
        rank: Which share is this process's.
        world_size: Number of ranks.
        seed: What the order depends on besides the epoch.
        done: Tells, as an epoch's first key is wanted, how many of its batches an earlier run has seen.
        order: What gives the `num_samples` images of an epoch, in order; by default a permutation.
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
        super().__init__(cast(Dataset[Any], range(num_samples)), world_size, rank, seed=seed)
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
        rank: Which share is this process's.
        world_size: Number of ranks.
    """

    def __init__(self, num_samples: int, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(cast(Dataset[Any], range(num_samples)), world_size, rank, shuffle=False)
        self.indices = range(rank, num_samples, world_size)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)
