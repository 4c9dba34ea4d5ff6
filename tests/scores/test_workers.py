import os

import pytest

from fusionseg.config.errors import UserError
from fusionseg.scores.workers import mapped


def squared(value: int) -> tuple[int, int]:
    if value < 0:
        raise UserError(f"found {value}")
    return value**2, os.getpid()


def test_results_have_the_order_of_the_items_whoever_computes_them() -> None:
    alone = mapped(squared, range(7), 1)
    shared = mapped(squared, range(7), 2)
    assert [value for value, _ in alone] == [value for value, _ in shared] == [n**2 for n in range(7)]
    assert {process for _, process in alone} == {os.getpid()}
    assert os.getpid() not in {process for _, process in shared}


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_one_ends_all(jobs: int) -> None:
    with pytest.raises(UserError, match="found -1"):
        mapped(squared, [1, -1, 2, 3], jobs)


def test_no_items_are_no_work() -> None:
    assert mapped(squared, []) == []
