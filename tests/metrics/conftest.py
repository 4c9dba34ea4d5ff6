"""Random answers and labels as data sets have them, with all that definitions of metrics treat differently."""

from collections.abc import Callable

import numpy as np
import pytest

from fusionseg.sample import VOID, Array, Truth

CLASSES = 5
SIZE = (5, 6)


def _random_maps(seed: int, void: float = 0.2) -> tuple[dict[str, Array], Truth]:
    """The answers of three heads and the labels of an image.

    Classes are absent from the truth, the prediction or both; predicted normals are of any length, true ones of
    length 1, and three of these have components that add up to 0; some predicted depths are less than 0.

    Args:
        seed: Decides everything.
        void: The share of pixels without a label of each kind.
    """
    rng = np.random.default_rng(seed)
    present = rng.permutation(CLASSES)[: rng.integers(2, CLASSES + 1)]
    semantic = rng.choice(present, SIZE)
    predicted = np.where(rng.random(SIZE) < 0.6, semantic, rng.integers(0, CLASSES - 1, SIZE))
    depth = rng.uniform(0.5, 9, SIZE)
    normals = rng.normal(size=(3, *SIZE))
    for labels, nothing in ((semantic, VOID), (depth, 0), (normals, 0)):
        order = rng.permutation(semantic.size).reshape(SIZE)
        labels[..., order < round(void * order.size)] = nothing
    normals[:, order >= order.size - 3] = np.array([[1], [-1], [0]])
    normals /= np.where(normals.any(0), np.linalg.norm(normals, axis=0), 1)
    answers = {
        "semantic": predicted,
        "depth": rng.uniform(0.5, 9, SIZE) - 3 * (rng.random(SIZE) < 0.1),
        "normals": (normals + rng.normal(size=normals.shape) / 4) * rng.uniform(0.3, 3, SIZE),
    }
    maps = {"depth": depth, "normals": normals, "disparity": depth}
    return answers, Truth(semantic, np.zeros(SIZE, int), maps=maps)


@pytest.fixture
def random_maps() -> Callable[..., tuple[dict[str, Array], Truth]]:
    """The answers of three heads and the labels of an image, by a seed and the share of void pixels."""
    return _random_maps


@pytest.fixture
def num_classes() -> int:
    """The number of classes of `random_maps`."""
    return CLASSES
