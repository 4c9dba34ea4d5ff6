import pytest
import torch

from fusionseg.running import RunningMean


def test_reading_gives_the_mean_since_the_last_reading() -> None:
    mean = RunningMean()
    for start in (0.0, 10.0):
        values = torch.rand(7, 3) + start
        for value in values:
            mean.add(value)
        assert mean.count == 7
        assert mean.read() == pytest.approx(values.mean(0).tolist())
        assert mean.count == 0


def test_what_was_added_may_change_afterwards() -> None:
    mean, value = RunningMean(), torch.ones(2)
    mean.add(value)
    mean.add(value)
    value.zero_()
    assert mean.read() == [1.0, 1.0]
