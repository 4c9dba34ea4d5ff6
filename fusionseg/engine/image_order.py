"""Puts images, which come in batches of equal size, into the order of their data set."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from fusionseg.data.samplers import EvaluationOrder
from fusionseg.sample import Sample

T = TypeVar("T")


def in_dataset_order(batches: Iterable[tuple[Any, Sample, Sequence[T]]]) -> Iterator[T]:
    """What belongs to each image, in the order of the data set; early ones wait for those before them.

    An `EvaluationOrder` looks ahead for images of equal size, and few of them wait at a time. What another
    sampler gives stays as it comes.

    Args:
        batches: The loader, a batch of it and what belongs to each of its images.
    """
    early: dict[int, T] = {}
    expected: deque[int] | None = None
    for loader, batch, images in batches:
        if not isinstance(loader.sampler, EvaluationOrder):
            yield from images
            continue
        if expected is None:
            expected = deque(loader.sampler.indices)
        early.update(zip(batch["index"].tolist(), images, strict=True))
        while expected and expected[0] in early:
            yield early.pop(expected.popleft())
