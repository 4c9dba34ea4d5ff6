from pathlib import Path

import pytest

from fusionseg.files.folders import files_below


@pytest.fixture
def top(tmp_path: Path) -> Path:
    for name in ("b/2", "b/.x", "a", "c/1", "c/d/3", ".y/4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_files_are_sorted_within_each_folder(top: Path) -> None:
    assert [path.relative_to(top).as_posix() for path in files_below(top)] == ["a", "b/2", "c/1", "c/d/3"]


def test_what_is_hidden_or_leads_nowhere_is_left_out_and_reported(top: Path) -> None:
    (top / "d").symlink_to(top / "nothing")
    left_out: list[Path] = []
    assert len(list(files_below(top, left_out=left_out.append))) == 4
    assert left_out == [top / ".y", top / "b/.x", top / "d"]


def test_folders_can_be_left_out(top: Path) -> None:
    found = files_below(top, enters=lambda folder: folder.name != "c")
    assert [path.name for path in found] == ["a", "2"]


def test_links_are_followed_once(top: Path) -> None:
    (top / "b" / "circle").symlink_to(top)
    (top / "e").symlink_to(top / "c")
    (top / "f").symlink_to(top / "nothing")
    names = [path.relative_to(top).as_posix() for path in files_below(top)]
    assert names == ["a", "b/2", "c/1", "c/d/3", "e/1", "e/d/3"]
