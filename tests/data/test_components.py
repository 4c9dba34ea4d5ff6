import os
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from fusionseg.data.components import components
from fusionseg.sample import IntMap


def blocks(seed: int, classes: int, size: int, void: float = 0.1) -> npt.NDArray[np.uint8]:
    """Class ids (60, 90) in random rectangles, some of them void."""
    chance = np.random.default_rng(seed)
    coarse = chance.integers(classes, size=(60 // size + 1, 90 // size + 1), dtype=np.uint8)
    coarse[chance.random(coarse.shape) < void] = 255
    return coarse.repeat(size, 0).repeat(size, 1)[:60, :90]


def in_scan_order(labels: IntMap) -> IntMap:
    """The same partition, numbered from 1 by first pixels; 0 stays."""
    ids, firsts = np.unique(labels, return_index=True)
    firsts, ids = firsts[ids > 0], ids[ids > 0]
    numbers = np.zeros(int(labels.max()) + 1, np.int64)
    numbers[ids[firsts.argsort()]] = np.arange(1, len(ids) + 1)
    return numbers[labels]


def slow_components(semantic: IntMap, min_area: int) -> IntMap:
    found = np.zeros(semantic.shape, np.int64)
    for c in set(np.unique(semantic).tolist()) - {255}:
        labels, number = ndimage.label(semantic == c)
        for i in range(1, number + 1):
            if (labels == i).sum() >= min_area:
                found[labels == i] = found.max() + 1
    return in_scan_order(found)


@pytest.mark.parametrize(
    ("classes", "size", "min_area"), [(2, 1, 1), (2, 2, 0), (3, 1, 4), (5, 4, 20), (1, 7, 1), (254, 3, 1)]
)
def test_components_are_scipys_of_every_class_in_scan_order(classes: int, size: int, min_area: int) -> None:
    semantic = blocks(classes, classes, size)
    found = components(semantic, min_area)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, slow_components(semantic, min_area))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_thin_maps_have_components_too(shape: tuple[int, int]) -> None:
    semantic = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape) // 2
    np.testing.assert_array_equal(components(semantic), semantic + 1)


def test_a_map_of_void_has_no_components() -> None:
    assert not components(np.full((4, 5), 255, np.uint8)).any()


def test_more_components_than_ids_are_refused() -> None:
    checkers = (np.indices((300, 300)).sum(0) % 2).astype(np.uint8)
    with pytest.raises(
        ValueError, match="90000 components do not fit into 16 bits: raise min_area above 1 pixels"
    ):
        components(checkers)


@pytest.mark.skipif(
    "FUSIONSEG_DATA" not in os.environ, reason="FUSIONSEG_DATA is not set: no CamVid labels to decompose"
)
def test_components_of_real_labels_are_scipys() -> None:
    files = sorted(Path(os.environ["FUSIONSEG_DATA"], "CamVid", "valannot").iterdir())[:3]
    for file in files:
        semantic = np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), np.uint8)
        np.testing.assert_array_equal(components(semantic, 50), slow_components(semantic, 50))
