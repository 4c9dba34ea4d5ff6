import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fusionseg.config.errors import UserError
from fusionseg.files.atomic import (
    remove_drafts,
    remove_drafts_of,
    replacing,
    replacing_folder,
    write_json,
    write_text,
)


def test_a_file_appears_whole_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "note.txt"
    write_text(path, "größer\n")
    assert path.read_text(encoding="utf-8") == "größer\n"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    write_text(path, "old")

    def interrupted() -> None:
        with replacing(path) as draft:
            draft.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_text(path, "old")
    with replacing(path) as draft:
        assert (draft.parent, draft.suffix) == (path.parent, ".csv")
        draft.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "note.txt"):
        pass
    assert not list(tmp_path.iterdir())


def test_json_has_null_for_what_is_not_finite(tmp_path: Path) -> None:
    write_json(
        tmp_path / "a.json", {"miou": math.nan, "list": [1, -math.inf, (0.5, "x")], "none": None, "on": True}
    )
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {"miou": None, "list": [1, None, [0.5, "x"]], "none": None, "on": True}
    assert text.endswith("}\n")


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, kind in (("folder", "a folder"), ("pipe", "a device or pipe")):
        with pytest.raises(UserError, match=f"found {kind}: .*{name}"), replacing(tmp_path / name):
            raise AssertionError("nothing is written")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]
    assert (tmp_path / "pipe").is_fifo()


def test_a_folder_appears_with_all_that_is_in_it_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "above" / "new"
    with replacing_folder(out) as draft:
        (draft / "file").write_text("whole")
        assert not out.exists()
    assert (out / "file").read_text() == "whole"
    with pytest.raises(UserError, match="found a folder that is not empty"), replacing_folder(out):
        pass

    def interrupted() -> None:
        with replacing_folder(tmp_path / "other") as draft:
            (draft / "file").write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        interrupted()
    assert [path.name for path in tmp_path.iterdir()] == ["above"]
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="found a file"), replacing_folder(tmp_path / "file"):
        pass


def test_drafts_that_a_killed_process_left_of_a_file_or_folder_are_removed_with_the_next_one(
    tmp_path: Path,
) -> None:
    dead = 10**30
    names = [f".model.{dead}.onnx", f".other.{dead}.onnx", f".model.{os.getppid()}.onnx"]
    for name in names:
        (tmp_path / name).touch()
    remove_drafts_of(tmp_path / "model.onnx")
    assert {path.name for path in tmp_path.iterdir()} == set(names[1:])
    (tmp_path / f".shared.{dead}").mkdir()
    (tmp_path / f".shared.{dead}" / "model.safetensors").touch()
    with replacing_folder(tmp_path / "shared"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"shared", *names[1:]}


def test_drafts_of_dead_processes_are_removed_and_those_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = [f".map.{ended.pid}.png", f".map.{os.getpid()}.png", f".map.{10**30}.png"]
    kept = [f".map.{os.getppid()}.png", ".hidden.png", "map.12.png", ".folder.12.png"]
    for name in [*dead, *kept[:-1]]:
        (tmp_path / "below" / name).touch()
    (tmp_path / "below" / kept[-1]).mkdir()
    remove_drafts(tmp_path)
    assert sorted(path.name for path in (tmp_path / "below").iterdir()) == sorted(kept)
