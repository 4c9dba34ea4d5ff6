import sys
import threading
import time
import zlib

import pytest

from benchmarks.runnable import running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
DATA = bytes(10**6)


def compress() -> None:
    """Leaves Python's lock to other threads."""
    for _ in range(60):
        zlib.compress(DATA, 9)


def in_threads(number: int) -> None:
    threads = [threading.Thread(target=compress) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.slow
def test_threads_that_wait_do_not_count_and_those_that_work_do() -> None:
    assert running(lambda: time.sleep(0.3)).threads < 0.2
    one, two = running(lambda: in_threads(1)), running(lambda: in_threads(2))
    assert 0.6 < one.threads < 1.3 < two.threads < 2.3
    assert 1.4 < two.seconds / one.seconds < 2.8
