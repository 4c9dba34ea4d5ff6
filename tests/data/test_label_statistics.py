from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from fusionseg.data import SegmentationDataset, SyntheticScenes
from fusionseg.data.base import Labels, Pixels
from fusionseg.data.label_statistics import WINDOW, LabelStatistics, counted
from fusionseg.sample import Classes

CLASSES = Classes(("ground", "water", "cell"), ((0, 0, 0), (0, 0, 9), (9, 0, 0)))


class Labelled(SegmentationDataset):
    """Images of two pixels, whose class ids are given and whose regions are all unlabelled."""

    classes = CLASSES

    def __init__(self, ids: Sequence[tuple[int, int]]) -> None:
        super().__init__("train")
        self.ids = ids
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.ids)

    def name(self, index: int) -> str:
        return str(index)

    def read(self, index: int) -> Pixels:
        raise AssertionError("no photo is read")

    def labels(self, index: int) -> Labels:
        self.asked.append(index)
        return Labels(np.array([self.ids[index]], np.uint8), np.zeros((1, 2), np.uint16))


def never(found: LabelStatistics) -> bool:
    return False


def test_classes_void_and_regions_are_counted() -> None:
    found = counted(Labelled([(0, 255), (2, 2), (255, 255)]), 0, never)
    assert found.class_pixels.tolist() == [1, 0, 2]
    assert found.labelled == {"semantic": 3, "region": 0}
    assert found[2:] == (6, 3, 3)


def test_further_kinds_are_counted_where_they_are_valid() -> None:
    scenes = SyntheticScenes("train", 2, (64, 64), depth=True, normals=True)
    maps = [scenes.read(i).maps for i in range(2)]
    found = counted(scenes, 0, never).labelled
    assert found["depth"] == sum(int((m["depth"] > 0).sum()) for m in maps)
    assert found["normals"] == sum(int(m["normals"].any(2).sum()) for m in maps)
    assert 0 < found["depth"] < 2 * 64 * 64


def test_only_images_that_an_epoch_shows_are_looked_at() -> None:
    class Repeated(Labelled):
        def order(self, rng: np.random.Generator, among: Any) -> Any:
            return among[[0, 0, 0, 2]]

    data = Repeated([(0, 0), (1, 1), (2, 255)])
    found = counted(data, 0, never)
    assert found.class_pixels.tolist() == [2, 0, 1]
    assert found[2:] == (4, 2, 3)
    assert sorted(data.asked) == [0, 2]


@pytest.mark.parametrize("windows", [1, 2])
def test_a_sample_ends_where_it_tells_enough(windows: int) -> None:
    def enough(found: LabelStatistics) -> bool:
        return found.images >= windows * WINDOW

    data = Labelled([(0, 0)] * 3 * WINDOW)
    assert counted(data, 5, enough).images == len(data.asked) == windows * WINDOW
    again = Labelled(data.ids)
    counted(again, 5, enough)
    assert set(again.asked) == set(data.asked) != set(range(len(data.asked)))
