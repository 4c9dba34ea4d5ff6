"""Works on several items at a time in threads, and hands on their results in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2
"""How many items are begun before the first of them is handed on, for each thread."""


def overlapped(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    again: Callable[[Result], bool] = lambda _: False,
    threads: int = 2,
) -> Generator[Result, None, None]:
    """The results of a function for items, in their order.

    Threads serve where the function waits for a device, or is in code that leaves Python's lock, as that of
    torch, OpenCV, numpy and zlib. If the function raises an error, it is raised here after the results of the
    items before. Where the iterator is closed, by an error or otherwise, what was begun is finished first.

    Args:
        function: The function, which is called in several threads at once.
        items: The items.
        again: Whether a result is to be had once more, with no other item in work.
        threads: How many items are in work at once.
    """
    pool = ThreadPoolExecutor(threads, "overlapped")
    begun: deque[tuple[Item, Future[Result]]] = deque()

    def first() -> Result:
        item, future = begun.popleft()
        result = future.result()
        if again(result):
            wait([other for _, other in begun])
            result = function(item)
        return result

    try:
        for item in items:
            begun.append((item, pool.submit(function, item)))
            if len(begun) == AHEAD * threads:
                yield first()
        while begun:
            yield first()
    finally:
        pool.shutdown(cancel_futures=True)
