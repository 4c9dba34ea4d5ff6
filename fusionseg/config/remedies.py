"""Errors of libraries that a setting mends: which one, in one line. Imports no library itself."""

import os
import re
from pathlib import Path

from fusionseg.config.errors import UsageError, UserError

ONE_SIZE = (
    "expected {img_size: N} for this encoder, which takes images of N x N only: N must be that of "
    "data.crop_size and of the images that it is evaluated on; or choose another model.backbone.encoder"
)
"""What to do about an encoder that takes images of one size, with `model.backbone.options`."""

FEWER_REGIONS = (
    "number the regions of each image from 1; if there are more, leave out small ones by a higher min_area "
    "of the region head (`fusionseg tune`, or in Python predictor.model.heads['region'].min_area), or "
    "predict a TIFF file with --windows, which writes ids of 32 bits"
)
"""What to do about region ids above 65535."""

REMEDIES = (
    (
        r"Expected more than 1 value per channel when training",
        "data.batch_size",
        "expected 2 or more images on each device, since BatchNorm cannot normalize one pixel of one image: "
        "raise it or data.crop_size, choose another model.backbone.decoder, or on several devices set "
        "trainer.sync_batchnorm to true",
    ),
    (
        r"Output size is too small|Calculated padded input size per channel: \([\d x]+\)",
        "data.crop_size",
        "expected larger crops for this model.backbone.decoder, and images to evaluate that are no smaller",
    ),
    (
        r"Early stopping conditioned on metric `[^`]+` which is not available|"
        r"ModelCheckpoint\(monitor=[^)]+\)` could not find the monitored key",
        "trainer.callbacks.monitor",
        "expected a figure that the run logs, such as val/score or val/miou (metrics.csv lists them)",
    ),
    (
        r"AF_UNIX path too long",
        "TMPDIR",
        "expected a folder for temporary files whose path is shorter, as sockets lie there: set TMPDIR=/tmp",
    ),
    (
        r"Input (?:image )?(?:height|width) \(\d+\) doesn't match model \(\d+\)",
        "model.backbone.options",
        "expected {strict_img_size: false} for this encoder, which otherwise takes images of one size only",
    ),
    (
        r"(?:height|width) \(\d+\) must be divisible by window \(\d+\)",
        "model.backbone.options",
        ONE_SIZE,
    ),
)
"""What the message of an error contains, the setting that mends it, and how."""

OUT_OF_MEMORY = (
    "can't allocate memory",
    "Cannot allocate memory",
    "Failed to allocate memory",
    "not enough memory",
    "Insufficient memory",
    "out of memory",
    "bad_alloc",
    "ALLOC_FAILED",
)
"""How torch, ONNX Runtime, OpenCV and the system report that there is too little, in errors of any type."""


def or_windows(path: str | os.PathLike[str], remedy: str) -> str:
    """What can be done about an image that is too large: TIFF files can also be predicted in windows.

    >>> or_windows("a.tif", "make it smaller"), or_windows("a.png", "make it smaller")
    ('make it smaller, or predict it with --windows --tile 1024', 'make it smaller')
    """
    is_tiff = Path(path).suffix.lower() in (".tif", ".tiff")
    return f"{remedy}, or predict it with --windows --tile 1024" if is_tiff else remedy


def remedied(error: BaseException) -> UserError | None:
    """The error in one line with the setting that mends it; None if no setting is known to.

    >>> print(remedied(RuntimeError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has ...")))
    out of memory (2.50 GiB more were wanted): lower data.batch_size or data.crop_size (in evaluation \
data.scale, in predict --scale), or choose a smaller model.backbone.encoder
    """
    if isinstance(error, UserError):
        return None
    if is_out_of_memory(error):
        images = "".join(f" at {note}" for note in getattr(error, "__notes__", ()))
        return UserError(
            f"out of memory{images}{_wanted(str(error))}: lower data.batch_size or data.crop_size (in "
            "evaluation data.scale, in predict --scale), or choose a smaller model.backbone.encoder"
        )
    for pattern, key, remedy in REMEDIES:
        if found := re.search(pattern, str(error)):
            return UsageError(f"{remedy} ({found[0]})", key)
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the processor or the accelerator has too little memory.

    >>> is_out_of_memory(MemoryError())
    True
    >>> is_out_of_memory(RuntimeError("shapes differ"))
    False
    """
    return isinstance(error, MemoryError) or any(text in str(error) for text in OUT_OF_MEMORY)


def _wanted(message: str) -> str:
    """How much memory was asked for in vain, in brackets, where a message says it."""
    if found := re.search(r"[Aa]llocate (\d+) bytes", message):
        return f" ({int(found[1]) / 2**30:.2f} GiB more were wanted)"
    found = re.search(r"[Aa]llocate ([\d.]+ [KMGTP]iB)", message)
    return f" ({found[1]} more were wanted)" if found else ""
