from pathlib import Path

import pytest

from fusionseg.data.base import SegmentationDataset
from fusionseg.data.splits import drawn_splits


def test_drawn_splits_have_their_fractions_on_average() -> None:
    splits = drawn_splits(Path(), [f"frame {i}" for i in range(10000)], 0.25, 0.1, "")
    found = [len(splits[split]) for split in SegmentationDataset.splits]
    assert found == pytest.approx([6500, 2500, 1000], rel=0.1)
