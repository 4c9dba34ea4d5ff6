"""Takes hooks that do nothing out of a training step."""

from collections.abc import Iterable

from lightning.pytorch import Callback

STEP_HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
"""The hooks that are called in each training step."""


def skip_idle_hooks(callbacks: Iterable[Callback]) -> None:
    """Has Lightning pass over the hooks of a step that a callback does not define.

    Lightning calls them too, under a profiler and by a name that is put together each time. With a dozen
    callbacks that is a tenth of a millisecond in each step, but a hook that is None is not called.
    """
    for callback in callbacks:
        for hook in STEP_HOOKS:
            if hook not in vars(callback) and getattr(type(callback), hook) is getattr(Callback, hook):
                setattr(callback, hook, None)
