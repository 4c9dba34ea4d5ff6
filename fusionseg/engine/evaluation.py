"""The labels that predictions are scored against."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from fusionseg.sample import Sample, Truth


class Truths:
    """The truths of a batch, read from the label files while the network runs.

    Args:
        dataset: What has `truth(index)`; the batch's own label maps are the truth where it has not.
    """

    def __init__(self, dataset: Any) -> None:
        self.read = getattr(dataset, "truth", None)
        self.pool = ThreadPoolExecutor(2, "truth")

    def start(self, batch: Sample) -> "list[Future[Truth]]":
        """Begins to read; the results are in the order of the batch."""
        if self.read is not None and "index" in batch:
            return [self.pool.submit(self.read, int(index)) for index in batch["index"]]
        return [self.pool.submit(own_truth, batch, i) for i in range(len(batch["name"]))]


def own_truth(batch: Sample, i: int) -> Truth:
    """The truth of the i-th image as the batch itself has it."""
    semantic, region = batch["semantic"][i].cpu().numpy(), batch["region"][i].cpu().numpy()
    return Truth(semantic.astype(np.uint8), region.astype(np.int32))


def common_size(truths: Sequence[Truth]) -> tuple[int, int]:
    """The size of all label files of a batch.

    Raises:
        ValueError: If they differ.
    """
    sizes = sorted({truth.semantic.shape for truth in truths})
    if len(sizes) != 1:
        raise ValueError(
            f"the label files of a batch have different sizes {sizes}: set data.eval_batch_size to 1"
        )
    height, width = sizes[0]
    return height, width
