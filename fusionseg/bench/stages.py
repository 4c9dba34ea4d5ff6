"""Where the time of an answer goes: network, resizing and decoding, without a change to what is timed."""

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import cv2
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

STAGES = ("read", "resize", "network", "decoding", "write", "rest")
"""The stages of an image from file to files, in their order; `resize` comes before and after the network."""


def synchronize(device: torch.device) -> None:
    """Waits for what a device still has to do; a CPU has nothing left when a function returns."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


class StageClock:
    """Adds up the seconds of stages; before each reading of the clock it waits for the device.

    Args:
        device: The device that the model is on.
        clock: Gives seconds.
    """

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> None:
        self.device = device
        self.clock = clock
        self.seconds: dict[str, float] = defaultdict(float)

    def now(self) -> float:
        """The time when the device has done everything."""
        synchronize(self.device)
        return self.clock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time of a block to a stage, without that of stages within it."""
        start = self.now()
        before = sum(self.seconds.values())
        yield
        within = sum(self.seconds.values()) - before
        self.seconds[name] += self.now() - start - within

    def timed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """A function whose calls are a stage; it has the signature of the one that it calls."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name):
                return function(*args, **kwargs)

        return call


class _Interpolation(TorchFunctionMode):
    """Makes calls of `torch.nn.functional.interpolate` a stage."""

    def __init__(self, clock: StageClock) -> None:
        super().__init__()
        self.watch = clock

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.interpolate:
            with self.watch.stage("resize"):
                return func(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


@contextmanager
def watched(model: nn.Module, clock: StageClock) -> Iterator[None]:
    """A context in which answers of a model are timed by stages.

    `network` is the model's forward pass. `resize` is what OpenCV and `interpolate` resize outside of it: the
    image before, and outputs after. `decoding` is all else of `predictions`: padding, grouping, fusion and
    the way to the host.

    Args:
        model: A LightningModule with `predictions`, which calls it as a function.
        clock: What adds up.
    """
    resize = cv2.resize
    running = ExitStack()  # the stage of a forward pass
    outside = ExitStack()  # interpolation is watched between forward passes only: within, it is the network's

    def begin(*_: object) -> None:
        outside.close()
        running.enter_context(clock.stage("network"))

    def end(*_: object) -> None:
        running.close()
        outside.enter_context(_Interpolation(clock))

    def predictions(*args: Any, **kwargs: Any) -> Any:
        with outside:
            return decoded(*args, **kwargs)

    own: Any = model
    decoded = clock.timed(own.predictions, "decoding")
    hooks = (model.register_forward_pre_hook(begin), model.register_forward_hook(end))
    own.predictions = functools.wraps(decoded)(predictions)
    cv2.resize = clock.timed(resize, "resize")
    try:
        yield
    finally:
        cv2.resize = resize
        del own.predictions
        for hook in hooks:
            hook.remove()
