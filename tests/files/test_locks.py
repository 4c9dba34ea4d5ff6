import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fusionseg.files.locks import locked, unlock

HOLDS = """
import sys
from pathlib import Path
from fusionseg.files.locks import locked
print(locked(Path(sys.argv[1])) is not None, flush=True)
sys.stdin.read()
"""


def test_one_process_holds_a_file_until_it_dies(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDS, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert locked(path) is None
        holder.kill()
    found = locked(path)
    assert found is not None
    assert found[1]
    unlock(found[0])


def test_a_file_that_its_owner_removed_meanwhile_is_locked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    flock = fcntl.flock
    calls: list[int] = []

    def removed_before(descriptor: int, operation: int) -> None:
        if not calls:
            path.unlink()
        calls.append(descriptor)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_before)
    found = locked(path)
    assert found is not None
    assert len(calls) == 2
    assert os.path.samestat(os.fstat(found[0]), path.stat())
    unlock(found[0])


def test_where_there_are_no_locks_a_file_is_opened_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refused)
    found = locked(tmp_path / "lock")
    assert found is not None
    assert not found[1]
    unlock(found[0])


FORKS = """
import os
import sys
import time
from pathlib import Path
from fusionseg.files.locks import locked
held = locked(Path(sys.argv[1]))
if os.fork() == 0:
    time.sleep(60)
    os._exit(0)
print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_a_process_that_is_killed_lets_go_though_those_it_forked_live_on(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", FORKS, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as holder:
        try:
            assert holder.stdout is not None
            assert int(holder.stdout.readline()) == holder.pid
            assert locked(path) is None
            holder.kill()
            holder.wait()
            # the forked process lets go as soon as it is first computed, for which it may wait its turn
            end = time.monotonic() + 30
            while (found := locked(path)) is None and time.monotonic() < end:
                time.sleep(0.05)
            assert found is not None
            unlock(found[0])
        finally:
            os.killpg(holder.pid, signal.SIGKILL)


def test_a_descriptor_that_was_closed_by_itself_is_no_other_s(tmp_path: Path) -> None:
    found = locked(tmp_path / "lock")
    assert found is not None
    os.close(found[0])
    (tmp_path / "other").write_text("still open")
    with (tmp_path / "other").open() as other:
        assert other.fileno() == found[0]
        child = os.fork()
        if child == 0:
            os._exit(0 if other.read() == "still open" else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
