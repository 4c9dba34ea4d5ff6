"""Sums over ranks; what trainings on two real ones come to stands in `test_ddp.py`."""

from unittest.mock import patch

import pytest
import torch

from fusionseg.engine.distributed import (
    from_first_rank,
    gathered,
    gathered_objects,
    lowest,
    reduced,
    world_size,
)


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


@pytest.mark.parametrize("rank", [0, 1])
def test_what_the_first_rank_makes_or_raises_comes_to_all(rank: int) -> None:
    sent: list[object] = [[7]]

    def gather(of_ranks: list[object], value: object) -> None:
        of_ranks[:] = [value if rank == 0 else sent[0], value]

    def made() -> int:
        assert rank == 0
        return 7

    def failing() -> int:
        assert rank == 0
        raise ValueError("damaged")

    with (
        patch("fusionseg.engine.distributed.world_size", lambda: 2),
        patch("torch.distributed.get_rank", lambda: rank),
        patch("torch.distributed.all_gather_object", gather),
    ):
        assert from_first_rank(made) == 7
        sent[0] = [ValueError("damaged")]
        with pytest.raises(ValueError, match="damaged"):
            from_first_rank(failing)
