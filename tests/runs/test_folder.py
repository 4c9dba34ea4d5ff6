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


def _claim(folder: Path, claimed: Any) -> None:
    run = RunFolder(folder)
    run.claim()
    run.config.touch()
    run.summary.touch()
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
    with pytest.raises(FileExistsError, match=rf"{tmp_path} already holds a run: .*--resume"):
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
    time.sleep(0.1)  # so that every process holds its claim while the others choose
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


def _first(folder: Path) -> bool:
    run = RunFolder(folder)
    try:
        run.claim()
    except FileExistsError:
        return False
    run.summary.touch()
    time.sleep(0.1)
    run.release()
    return True


def test_of_eight_processes_at_once_one_has_an_equal_folder(tmp_path: Path) -> None:
    with ProcessPoolExecutor(8, CONTEXT) as pool:
        for attempt in range(20):
            assert sum(pool.map(_first, [tmp_path / "runs" / str(attempt)] * 8)) == 1


def test_a_folder_in_which_another_process_trains_is_refused(tmp_path: Path) -> None:
    with (
        claimed_elsewhere(tmp_path / "run"),
        pytest.raises(FileExistsError, match="another process is training"),
    ):
        RunFolder(tmp_path / "run").claim()


def test_the_claim_of_a_killed_process_is_taken_over_where_it_left_no_checkpoint(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    for checkpoints in ((), (".best.12.ckpt",)):
        with claimed_elsewhere(folder.path) as process:
            for name in checkpoints:
                folder.checkpoints.mkdir(exist_ok=True)
                (folder.checkpoints / name).touch()
            process.kill()
            process.join()
        assert folder.summary.exists()
        folder.claim()
        assert [path.name for path in folder.path.iterdir()] == [".claim"]
        folder.release()


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
def test_a_checkpoint_of_a_killed_process_is_resumed_or_kept(name: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with claimed_elsewhere(folder.path) as process:
        folder.checkpoints.mkdir()
        (folder.checkpoints / name).touch()
        process.kill()
        process.join()
    with pytest.raises(FileExistsError, match=r"already holds a run: .*continue the run with --resume"):
        folder.claim()
    folder.claim(resume=True)
    folder.release()
    assert {path.name for path in folder.path.rglob("*")} == {
        "config.yaml",
        "summary.json",
        "checkpoints",
        name,
    }


def test_a_run_that_ended_without_a_checkpoint_is_no_dead_one(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.claim()
    folder.summary.touch()
    folder.release()
    for _ in range(2):
        with pytest.raises(FileExistsError, match="already holds a run"):
            RunFolder(folder.path).claim()
    assert folder.summary.exists()


def test_a_run_cannot_be_resumed_twice_at_the_same_time(tmp_path: Path) -> None:
    with (
        claimed_elsewhere(tmp_path / "run"),
        pytest.raises(FileExistsError, match="another process is training"),
    ):
        RunFolder(tmp_path / "run").claim(resume=True)


def test_what_was_not_used_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = RunFolder.new("mine"), RunFolder.new("mine")
    second.release()
    assert list((tmp_path / "runs").iterdir()) == [first.path.absolute()]
    first.release()
    assert not list(tmp_path.iterdir())
    deep = RunFolder(tmp_path / "a" / "b" / "c")
    deep.claim()
    deep.release()
    assert not list(tmp_path.iterdir())
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
    folder.discard()
    folder.release()
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "pictures"}


def test_a_run_with_a_checkpoint_is_never_discarded(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.claim()
    folder.config.touch()
    folder.checkpoints.mkdir()
    folder.last.touch()
    folder.discard()
    folder.release()
    assert folder.config.exists()
    assert folder.last.exists()


def test_only_the_first_rank_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning.fabric.utilities.rank_zero_only.rank", 1)
    folder = RunFolder(tmp_path / "run")
    folder.claim()
    assert not folder.path.exists()
    monkeypatch.chdir(tmp_path)
    assert not RunFolder.new("mine").path.exists()
