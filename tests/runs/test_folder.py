import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fusionseg.runs.folder import RunFolder

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["fusionseg.runs.folder"])


def _claim(folder: Path, claimed: Any) -> None:
    RunFolder(folder).claim()
    claimed.set()
    time.sleep(60)


@contextmanager
def claimed_elsewhere(folder: Path) -> Iterator[Any]:
    """A process that holds the claim of a folder."""
    claimed = CONTEXT.Event()
    process = CONTEXT.Process(target=_claim, args=(folder, claimed))
    process.start()
    try:
        assert claimed.wait(60)
        yield process
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("mark", ["config.yaml", "summary.json", "metrics.csv", "checkpoints"])
def test_any_trace_of_a_run_marks_a_folder_as_used(mark: str, tmp_path: Path) -> None:
    for unused in (tmp_path, tmp_path / "not there"):
        folder = RunFolder(unused)
        folder.claim()
        folder.release()
    (tmp_path / mark).touch()
    with pytest.raises(FileExistsError, match=str(tmp_path)):
        RunFolder(tmp_path).claim()
    assert [path.name for path in tmp_path.iterdir()] == [mark]


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="file is a file: choose a folder with --out"):
        RunFolder(tmp_path / "file").claim()


def test_two_runs_of_one_second_have_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda _: "20260101-000000")
    first = RunFolder.new("mine")
    assert first.path == Path("runs/20260101-000000-mine")
    assert RunFolder.new("mine").path == Path("runs/20260101-000000-mine-2")


def _new(folder: Path) -> str:
    os.chdir(folder)
    run = RunFolder.new("mine")
    time.sleep(0.2)  # so that every process holds its claim while the others choose
    run.summary.touch()
    run.release()
    return run.path.name


def test_eight_processes_at_once_have_eight_folders(tmp_path: Path) -> None:
    with ProcessPoolExecutor(8, CONTEXT) as pool:
        for attempt in range(20):
            folder = tmp_path / str(attempt)
            folder.mkdir()
            names = list(pool.map(_new, [folder] * 8))
            assert len(set(names)) == 8
            assert {path.name for path in (folder / "runs").iterdir()} == set(names)


def test_a_folder_in_which_another_process_trains_is_refused(tmp_path: Path) -> None:
    with (
        claimed_elsewhere(tmp_path / "run"),
        pytest.raises(FileExistsError, match="another process is training"),
    ):
        RunFolder(tmp_path / "run").claim()


@pytest.mark.parametrize("resume", [False, True])
def test_the_claim_of_a_killed_process_is_taken_over(resume: bool, tmp_path: Path) -> None:
    with claimed_elsewhere(tmp_path / "run") as process:
        process.kill()
        process.join()
        folder = RunFolder(tmp_path / "run")
        folder.claim(resume)
        folder.release()


def test_a_run_cannot_be_resumed_twice_at_the_same_time(tmp_path: Path) -> None:
    with (
        claimed_elsewhere(tmp_path / "run"),
        pytest.raises(FileExistsError, match="another process is training"),
    ):
        RunFolder(tmp_path / "run").claim(resume=True)


def test_what_was_not_used_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    RunFolder.new("mine").release()
    assert not list((tmp_path / "runs").iterdir())
    mine = tmp_path / "mine"
    mine.mkdir()
    folder = RunFolder(mine)
    folder.claim()
    folder.release()
    assert not list(mine.iterdir())


def test_a_discarded_run_leaves_what_was_there_before(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "pictures").mkdir()
    folder = RunFolder(tmp_path)
    folder.claim()
    folder.config.touch()
    folder.checkpoints.mkdir()
    folder.best.touch()
    folder.discard()
    folder.release()
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "pictures"}


def test_only_the_first_rank_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning.fabric.utilities.rank_zero_only.rank", 1)
    folder = RunFolder(tmp_path / "run")
    folder.claim()
    assert not folder.path.exists()
    monkeypatch.chdir(tmp_path)
    assert not RunFolder.new("mine").path.exists()
