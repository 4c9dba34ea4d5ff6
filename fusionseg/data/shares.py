"""Shares of the parts of a mixture in an epoch, and the images of each part."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fusionseg.data.base import DataError, SegmentationDataset
from fusionseg.data.rounding import Repeats


def shares_of(length: int, weights: Sequence[float]) -> list[int]:
    """Integers that add up to `length`, each within 1 of its weight's share (largest remainder method)."""
    if not sum(weights):
        raise DataError("expected a weight above 0 for a part with the split train, found none")
    exact = length * np.asarray(weights, np.float64) / sum(weights)
    shares = np.floor(exact).astype(np.int64)
    shares[np.argsort(shares - exact, kind="stable")[: length - shares.sum()]] += 1
    return shares.tolist()  # type: ignore[no-any-return]


def check_shares(
    weights: Mapping[str, float], images: Sequence[int], shares: Sequence[int], length: int
) -> None:
    """Raises a DataError if images of a part are wanted, and an epoch has none.

    Args:
        weights: How much each part is wanted, by its name.
        images: How many images each has.
        shares: How many of an epoch's images are of each.
        length: How many images an epoch has.
    """
    for (part, weight), count, share in zip(weights.items(), images, shares, strict=True):
        if weight and not (share and count):
            raise DataError(
                f"expected images of {part} (weight {weight:g}) and a share of an epoch of {length} for "
                f"them, found {count} and {share}: raise data.fraction or epoch_length, or change the weights"
            )


def rounds(
    dataset: SegmentationDataset,
    rng: np.random.Generator,
    pool: npt.NDArray[np.int64],
    count: int,
    repeats: Repeats | None = None,
) -> npt.NDArray[np.int64]:
    """The indices (count,) of images of a part: all of them, as often as needed, each time in a new order.

    Where some are wanted more often than others, all come in one round.
    """
    drawn_rounds = [np.empty(0, np.int64)]
    drawn = 0
    often = repeats * (count / repeats.sum()) if repeats is not None and count else None
    while drawn < count:
        drawn_rounds.append(dataset.order(rng, pool, often))
        drawn += len(drawn_rounds[-1])
    return np.concatenate(drawn_rounds)[:count]
