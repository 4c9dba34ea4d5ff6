import math

import pytest
import torch

from fusionseg.engine.loss_log import LossLog, NotFiniteError, check_finite


def added(values: torch.Tensor) -> LossLog:
    """The losses of some steps, a row (sum, first task, second task) each."""
    log = LossLog(["a", "b"])
    for step, row in enumerate(values):
        log.add(row[0], row[1:], step, [f"photo {step}"])
    return log


def test_reading_gives_the_mean_since_the_last_reading() -> None:
    log = LossLog(["a", "b"])
    for start in (0.0, 10.0):
        values = torch.rand(7, 3) + start
        for value in values:
            log.add(value[0], value[1:], 0, [])
        assert log.count == 7
        read = log.pop_means(5)
        assert list(read) == ["train/loss", "train/loss_a", "train/loss_b"]
        assert list(read.values()) == pytest.approx(values.mean(0).tolist())
        assert (log.count, log.logged) == (0, 5)


def test_what_was_added_may_change_afterwards() -> None:
    value = torch.ones(3)
    log = added(value[None])
    value.zero_()
    assert set(log.pop_means(1).values()) == {1.0}


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_the_first_step_that_is_no_number_is_named_with_its_task_and_images(broken: float) -> None:
    values = torch.rand(9, 3)
    values[4, 2] = values[6, 1] = broken
    log = added(values)
    for ask in (log.check, lambda: log.pop_means(9), log.state):
        with pytest.raises(NotFiniteError, match="the b loss is not finite since step 4, images photo 4:"):
            ask()


def test_losses_go_on_from_where_they_were_kept() -> None:
    values = torch.rand(8, 3)
    first, second = added(values[:5]), LossLog(["a", "b"])
    second.resume(first.state())
    second.start(5, 0, torch.device("cpu"))
    for row in values[5:]:
        second.add(row[0], row[1:], 9, [])
    assert second.pop_means(8) == added(values).pop_means(8)


@pytest.mark.parametrize("read", [3, 64, 70, 128])
def test_sums_do_not_depend_on_when_they_are_added_up(read: int) -> None:
    values = torch.rand(150, 3)
    expected = values[0]
    for row in values[1:]:
        expected = expected + row
    log = LossLog(["a", "b"])
    for step, row in enumerate(values):
        log.add(row[0], row[1:], step, [f"photo {step}"])
        if step == read:
            log.state()  # as for a checkpoint
    assert list(log.pop_means(150).values()) == (expected / 150).tolist()


def test_another_number_of_ranks_goes_on_with_the_mean() -> None:
    log = LossLog(["a"])
    log.resume({"total": torch.tensor([[2.0, 4.0], [4.0, 8.0]]), "count": 3, "logged": 0})
    log.start(3, 0, torch.device("cpu"))
    assert log.pop_means(3) == {"train/loss": 1.0, "train/loss_a": 2.0}


def test_weights_that_are_no_numbers_are_named() -> None:
    state = {
        "good": torch.ones(3),
        "number": torch.tensor(3),
        "bad": torch.tensor([1.0, math.nan]),
        "no": torch.ones(0),
    }
    with pytest.raises(NotFiniteError, match="1 weights are not finite after step 7, bad first"):
        check_finite(state, 7)
    del state["bad"]
    check_finite(state, 7)
