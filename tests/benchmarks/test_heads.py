import pytest
import torch

from benchmarks import heads
from fusionseg.heads import BoundaryHead, MaskRCNNHead


def test_cells_are_regions_of_one_class_each() -> None:
    batch = heads.cells((2, 64, 96))
    assert batch["region"].shape == (2, 64, 96)
    assert batch["region"][0].unique().tolist() == list(range(1, heads.REGIONS + 1))
    assert not torch.equal(batch["region"][0], batch["region"][1])


@pytest.mark.parametrize("head", [BoundaryHead, MaskRCNNHead])
def test_both_costs_are_measured(head: type) -> None:
    found = heads.cost(head, heads.cells((1, 64, 64)), heads.cells((1, 64, 96)), rounds=1)
    assert found.target > 0
    assert found.decoding > 0
