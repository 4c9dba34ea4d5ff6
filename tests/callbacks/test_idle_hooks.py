"""Hooks of a training step that do nothing are not called."""

from unittest.mock import Mock

import lightning.pytorch as pl
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.demos.boring_classes import BoringModel

from fusionseg.callbacks.idle_hooks import STEP_HOOKS, skip_idle_hooks
from fusionseg.config.lightning_messages import quiet


class Counts(pl.Callback):
    """Counts the steps."""

    def __init__(self) -> None:
        self.steps = 0

    def on_train_batch_end(self, *_: object) -> None:
        self.steps += 1


class CountsToo(Counts):
    """Inherits its hook."""


def fit(callback: pl.Callback, steps: int) -> None:
    extras = ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing")
    plan = {"max_steps": steps, "limit_val_batches": 0, "accelerator": "cpu", **dict.fromkeys(extras, False)}
    with quiet():
        pl.Trainer(callbacks=[callback], **plan).fit(BoringModel())


def test_hooks_that_no_class_of_a_callback_defines_are_none() -> None:
    for callback in (Counts(), CountsToo()):
        skip_idle_hooks([callback])
        assert [hook for hook in STEP_HOOKS if getattr(callback, hook)] == ["on_train_batch_end"]


def test_a_hook_that_was_given_to_an_instance_stays() -> None:
    called = Mock()
    callback = LambdaCallback(on_before_backward=called)
    skip_idle_hooks([callback])
    callback.on_before_backward(Mock(), Mock(), Mock())
    called.assert_called_once()
    assert callback.on_after_backward is None


def test_lightning_calls_the_others_in_each_step_and_passes_over_these() -> None:
    callback = Counts()
    skip_idle_hooks([callback])
    fit(callback, steps=3)
    assert callback.steps == 3


def test_every_hook_that_lightning_calls_between_two_steps_is_known() -> None:
    called: list[str] = []

    class Watched(pl.Callback):
        def __getattribute__(self, name: str) -> object:
            if name.startswith("on_"):
                called.append(name)
            return super().__getattribute__(name)

    fit(Watched(), steps=4)
    starts = [i for i, name in enumerate(called) if name == "on_train_batch_start"]
    assert called[starts[2] : starts[3]] == list(STEP_HOOKS)
