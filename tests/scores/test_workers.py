import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from fusionseg.config.errors import UserError
from fusionseg.scores.workers import Workers, mapped


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
def test_the_same_processes_compute_again_and_again(jobs: int) -> None:
    done: list[None] = []
    with Workers(squared, 5, jobs) as workers:
        found = [workers.results(squared, range(5), lambda: done.append(None)) for _ in range(3)]
    assert [[value for value, _ in one] for one in found] == [[n**2 for n in range(5)]] * 3
    assert len({process for one in found for _, process in one}) <= jobs
    assert len(done) == 15


def signaled(value: int) -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return value


def test_control_c_is_left_to_the_process_that_started_the_others() -> None:
    assert mapped(signaled, [1, 2, 3], 2) == [1, 2, 3]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_one_ends_all(jobs: int) -> None:
    with pytest.raises(UserError, match="found -1"):
        mapped(squared, [1, -1, 2, 3], jobs)


def test_no_items_are_no_work() -> None:
    assert mapped(squared, []) == []


def killed(value: int) -> int:
    if value == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def test_a_killed_process_is_said_in_one_line() -> None:
    with pytest.raises(UserError, match=r"a process was killed, .* fewer of them"):
        mapped(killed, [0, 1, 2], 2)


def test_less_than_one_process_is_refused() -> None:
    with pytest.raises(UserError, match="at least 1 process, found --jobs 0"):
        mapped(squared, [1, 2], 0)


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, os, signal, sys, threading, time\n"
        "from fusionseg.scores.workers import mapped\n"
        "if __name__ == '__main__':\n"
        "    threading.Thread(target=mapped, args=(time.sleep, [60, 60], 2), daemon=True).start()\n"
        "    while len(multiprocessing.active_children()) < 2: time.sleep(0.1)\n"
        "    print(*[child.pid for child in multiprocessing.active_children()], flush=True)\n"
        "    time.sleep(1)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGTERM
    workers = [int(pid) for pid in done.stdout.split()]
    assert len(workers) == 2
    _, alive = psutil.wait_procs(
        [psutil.Process(pid) for pid in workers if psutil.pid_exists(pid)], timeout=20
    )
    assert not alive
