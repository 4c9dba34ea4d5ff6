"""One of several that want a file writes it."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fusionseg.files.filled_once import fill_once


def test_of_several_that_begin_at_once_one_fills_and_the_others_wait(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "some.json"
    filled = []

    def fill() -> None:
        filled.append(file)
        time.sleep(0.05)
        file.write_text("1")

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(fill_once, file, fill) for _ in range(3)]:
            done.result()
            assert file.read_text() == "1"
    assert len(filled) == 1
    assert [path.name for path in file.parent.iterdir()] == ["some.json"]


def test_a_failure_is_everybodys_own_and_drafts_of_the_dead_go(tmp_path: Path) -> None:
    file = tmp_path / "some.json"
    draft = tmp_path / ".some.123.values"
    draft.touch()
    with pytest.raises(ZeroDivisionError):
        fill_once(file, lambda: print(1 / 0))
    assert not draft.exists()
    fill_once(file, file.touch)
    assert [path.name for path in tmp_path.iterdir()] == ["some.json"]
