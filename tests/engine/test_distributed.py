"""Sums over ranks; what trainings on two real ones come to stands in `test_ddp.py`."""

from unittest.mock import patch

import numpy as np
import torch

from fusionseg.engine.distributed import reduced, reduced_sums, world_size


def test_a_single_process_changes_nothing() -> None:
    values, sums = torch.rand(3), {"a": np.arange(3)}
    assert world_size() == 1
    assert reduced(values) is values
    assert reduced_sums(sums, torch.device("cpu")) is sums


def test_sums_over_ranks_keep_names_shapes_kinds_and_large_counts() -> None:
    sums = {"region": np.array([0.1, 2**40 + 0.5]), "classes": np.array([[2**52 - 1, 1], [0, 3]])}
    with (
        patch("fusionseg.engine.distributed.world_size", lambda: 2),
        patch("torch.distributed.all_reduce", lambda values: values.mul_(2)),
    ):
        doubled = reduced_sums(sums, torch.device("cpu"))
        assert torch.equal(reduced(torch.ones(2)), torch.full((2,), 2.0))
    for name, value in sums.items():
        np.testing.assert_array_equal(doubled[name], 2 * value)
        assert doubled[name].dtype == value.dtype
