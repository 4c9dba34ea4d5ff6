import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from fusionseg.inference.overlapping import AHEAD, overlapped


def test_results_are_in_order_whichever_is_ready_first() -> None:
    def late(number: int) -> int:
        time.sleep(0.02 * (number % 3 == 0))
        return number * number

    assert list(overlapped(late, range(20))) == [number * number for number in range(20)]
    assert list(overlapped(late, [])) == []


def test_several_items_are_in_work_at_once_and_no_more_than_that() -> None:
    both = threading.Barrier(2, timeout=30)
    working = set()
    most = []

    def meeting(number: int) -> int:
        working.add(number)
        most.append(len(working))
        both.wait()  # which one alone would never pass
        working.discard(number)
        return number

    assert list(overlapped(meeting, range(8))) == list(range(8))
    assert max(most) <= 2


def test_only_a_few_items_are_begun_ahead() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    with closing(overlapped(str, items(), threads=3)) as results:
        assert next(results) == "0"
        assert len(taken) == 3 * AHEAD


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_an_error_comes_after_the_results_before_it_and_nothing_more_is_begun(error: BaseException) -> None:
    begun = []

    def failing(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise error
        return number

    seen: list[int] = []
    with pytest.raises(type(error)), closing(overlapped(failing, range(50))) as iterator:
        seen += iterator
    assert seen == [0, 1, 2]
    assert max(begun) < 3 + 2 * AHEAD + 1
    threads = [thread.name for thread in threading.enumerate()]
    assert not [name for name in threads if name.startswith("overlapped")]


def test_what_is_to_be_done_again_is_done_alone_and_in_its_place() -> None:
    working: set[int] = set()
    alone = []
    first = set(range(1, 9, 3))

    def crowded(number: int) -> int | None:
        working.add(number)
        time.sleep(0.01)
        others = len(working) - 1
        working.discard(number)
        if number in first:
            first.discard(number)
            return None
        if number % 3 == 1:
            alone.append(others)
        return number

    assert list(overlapped(crowded, range(9), again=lambda result: result is None)) == list(range(9))
    assert alone == [0, 0, 0]
