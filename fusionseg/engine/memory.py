"""Tells errors for want of memory from others."""

import torch

_REPORTED = ("can't allocate memory", "not enough memory", "Insufficient memory", "out of memory")
"""How torch and OpenCV report that there is too little, in errors of no type of their own."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the processor or the accelerator has too little memory.

    >>> is_out_of_memory(MemoryError())
    True
    >>> is_out_of_memory(RuntimeError("shapes differ"))
    False
    """
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(text in str(error) for text in _REPORTED)
