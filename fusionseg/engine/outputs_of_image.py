"""What heads gave for one image of a batch, as arrays."""

from typing import Any

from torch import Tensor

from fusionseg.heads.base import Output


def of_image(output: Output, number: int) -> Any:
    """The part of an output that is of one image, on the host: an array, or several by name.

    >>> import torch
    >>> of_image([torch.zeros(2, 1), {"mask": torch.ones(2, 1)}], 1)
    {'0': array([0.], dtype=float32), '1': {'mask': array([1.], dtype=float32)}}

    Args:
        output: A tensor (B, ...), or a list, tuple, named tuple or mapping of outputs. Half precision becomes
            float32, and what else there may be is left out.
        number: The image's number in the batch.
    """
    if isinstance(output, Tensor):
        one = output[number].detach()
        return (one.float() if one.is_floating_point() else one).cpu().numpy()
    if isinstance(output, tuple) and hasattr(output, "_asdict"):
        output = output._asdict()
    if isinstance(output, list | tuple):
        output = dict(enumerate(output))
    if not isinstance(output, dict):
        return None
    parts = {str(name): of_image(part, number) for name, part in output.items()}
    return {name: part for name, part in parts.items() if part is not None}
