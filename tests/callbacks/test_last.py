from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint

from fusionseg.callbacks.last import LastCheckpoint


@pytest.mark.parametrize(("fn", "ranks", "saved"), [("fit", 1, True), ("fit", 2, False), ("validate", 1, False)])
def test_only_a_single_process_that_trains_saves_where_it_was_stopped(
    fn: str, ranks: int, saved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves = []
    monkeypatch.setattr(ModelCheckpoint, "on_exception", lambda *args: saves.append(args))
    trainer: Any = SimpleNamespace(state=SimpleNamespace(fn=fn), world_size=ranks)
    LastCheckpoint().on_exception(trainer, LightningModule(), KeyboardInterrupt())
    assert bool(saves) is saved
