"""Sums over ranks; what trainings on two real ones come to stands in `test_ddp.py`."""

from unittest.mock import patch

import torch

from fusionseg.engine.distributed import gathered, gathered_objects, lowest, reduced, world_size


def test_a_single_process_changes_nothing() -> None:
    values = torch.rand(3)
    assert world_size() == 1
    assert reduced(values) is values
    assert lowest(values) is values
    assert torch.equal(gathered(values), values[None])
    assert gathered_objects({"a": 1}) == [{"a": 1}]


def test_what_is_reduced_over_ranks_is_a_copy() -> None:
    values = torch.ones(2)
    with (
        patch("fusionseg.engine.distributed.world_size", lambda: 2),
        patch("torch.distributed.all_reduce", lambda values: values.mul_(2)),
    ):
        assert torch.equal(reduced(values), torch.full((2,), 2.0))
    assert torch.equal(values, torch.ones(2))
