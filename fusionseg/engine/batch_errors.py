"""What is said of the batch in which a step failed."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from fusionseg.config.errors import unstopped
from fusionseg.config.remedies import is_out_of_memory
from fusionseg.files.matching import some

R = TypeVar("R")


def of_batch(step: Callable[..., R]) -> Callable[..., R]:
    """A method of a batch, as `unstopped`; a note on errors of memory has the images and their size."""

    @unstopped
    @functools.wraps(step)
    def call(self: Any, batch: Any, *args: Any) -> R:
        try:
            return step(self, batch, *args)
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                number, _, height, width = batch["image"].shape
                error.add_note(f"{number} of {width} x {height} pixels: {some(batch['name'])}")
            raise

    return call
