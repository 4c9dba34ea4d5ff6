from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from fusionseg.data.samplers import LOOKAHEAD, EvaluationOrder
from fusionseg.engine.image_order import in_dataset_order


def batches(sampler: Any) -> Iterator[tuple[Any, Any, list[str]]]:
    loader = SimpleNamespace(sampler=sampler)
    for batch in sampler:
        yield loader, {"index": torch.tensor(batch)}, [f"image {index}" for index in batch]


def test_images_come_in_the_order_of_their_data_set_and_few_wait() -> None:
    sizes = np.random.default_rng(0).integers(0, 6, 400).tolist()
    order = EvaluationOrder(400, batch_size=4, size=sizes.__getitem__)
    taken = 0
    waiting = []

    def counted() -> Iterator[tuple[Any, Any, list[str]]]:
        nonlocal taken
        for one in batches(order):
            taken += len(one[2])
            yield one

    found = []
    for image in in_dataset_order(counted()):
        found.append(image)
        waiting.append(taken - len(found))
    assert found == [f"image {index}" for index in range(400)]
    assert 0 < max(waiting) <= 4 * LOOKAHEAD + 4


def test_a_rank_has_its_own_images_in_order() -> None:
    order = EvaluationOrder(20, 1, 3, 2, lambda index: index % 4)
    assert list(in_dataset_order(batches(order))) == [f"image {index}" for index in range(1, 20, 3)]


def test_what_another_sampler_gives_stays_as_it_comes() -> None:
    assert list(in_dataset_order(batches([(2, 0), (1,)]))) == ["image 2", "image 0", "image 1"]
