import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fusionseg.files.locks import locked

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
    os.close(found[0])


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
    os.close(found[0])


def test_where_there_are_no_locks_a_file_is_opened_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refused)
    found = locked(tmp_path / "lock")
    assert found is not None
    assert not found[1]
    os.close(found[0])
