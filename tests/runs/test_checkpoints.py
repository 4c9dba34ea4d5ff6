import io
import os
import pickle
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from fusionseg.callbacks.signals import Stopped
from fusionseg.files.state_dicts import WeightsError
from fusionseg.runs.checkpoints import AtomicCheckpointIO


@contextmanager
def room(size: int) -> Iterator[None]:
    """A time in which no file may grow beyond so many bytes."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("before", [True, False])
def test_without_room_on_the_disk_the_checkpoint_before_stays_whole(before: bool, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    if before:
        AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(3)}}, path)
    with room(20_000), pytest.raises(OSError, match="could not be written") as raised:
        AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(10_000)}}, path)
    told = str(raised.value)
    assert told.startswith(f"{path}: this checkpoint could not be written (File too large)")
    assert told.endswith("the one before it is whole" if before else "there was none before")
    assert [p.name for p in tmp_path.iterdir()] == (["last.ckpt"] if before else [])
    if before:
        assert torch.equal(AtomicCheckpointIO().load_checkpoint(path)["state_dict"]["w"], torch.ones(3))


class Signalled(io.FileIO):
    """A file in the n-th writing to which a signal comes."""

    left = 0

    def write(self, data: Any) -> int:
        Signalled.left -= 1
        if Signalled.left == 0:
            signal.raise_signal(signal.SIGTERM)
        return super().write(data) or 0


@pytest.fixture
def stops() -> Iterator[None]:
    """A time in which a signal stops at once."""

    def stop(signum: int, _: Any) -> None:
        raise Stopped(signum)

    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("stops")
@pytest.mark.parametrize("before", [True, False])
def test_a_signal_that_stops_at_once_leaves_the_checkpoint_before_whenever_it_comes(
    before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, content = tmp_path / "last.ckpt", {"state_dict": {"w": torch.zeros(9)}}
    if before:
        AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(3)}}, path)
    kept = {path.name: path.read_bytes()} if before else {}
    monkeypatch.setattr(Path, "open", lambda self, mode: Signalled(self, mode))
    Signalled.left = 1000
    AtomicCheckpointIO().save_checkpoint(content, tmp_path / "whole.ckpt")
    writings = 1000 - Signalled.left
    (tmp_path / "whole.ckpt").unlink()
    for number in range(1, writings + 1):
        Signalled.left = number
        with pytest.raises(Stopped, match="SIGTERM"):
            AtomicCheckpointIO().save_checkpoint(content, path)
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == kept
    assert writings > 5


class Code:
    """What runs when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "extra": Code(tmp_path / "ran")}, tmp_path / "torch.ckpt")
    (tmp_path / "pickle.ckpt").write_bytes(pickle.dumps({"state_dict": {}, "extra": Code(tmp_path / "ran")}))
    for name in ("torch.ckpt", "pickle.ckpt"):
        with pytest.raises(WeightsError, match=name):
            AtomicCheckpointIO().load_checkpoint(tmp_path / name)
    assert not (tmp_path / "ran").exists()
