"""Makes the content of a checkpoint such that it can be read without executing code."""

import io
from collections import OrderedDict
from typing import Any

import numpy as np
import torch

from fusionseg.config.errors import UserError

PLAIN = (type(None), bool, int, float, str, bytes, torch.Tensor, torch.nn.Parameter)
"""Types of values that every checkpoint may hold."""


def portable(value: Any, key: str = "") -> Any:
    """The value with Python's numbers in place of NumPy's; itself where there are none.

    Args:
        value: What a checkpoint is to hold: tensors, plain values, and containers of these.
        key: Where in the checkpoint that is, with dots.

    Raises:
        UserError: If a value could not be read back, because only code makes it; the message names the first.

    >>> portable({"best": np.float64(0.5), "steps": [1, 2]})
    {'best': 0.5, 'steps': [1, 2]}
    """
    if isinstance(value, np.generic) and not isinstance(value.item(), np.generic):
        return portable(value.item(), key)  # which may be a date
    if type(value) in (dict, OrderedDict):
        pairs = [(portable(name, key), portable(inner, f"{key}.{name}")) for name, inner in value.items()]
        same = all(a is b and c is d for (a, c), (b, d) in zip(pairs, value.items(), strict=True))
        return value if same else type(value)(pairs)
    if type(value) in (list, tuple):
        entries = [portable(inner, f"{key}.{i}") for i, inner in enumerate(value)]
        same = all(a is b for a, b in zip(entries, value, strict=True))
        return value if same else type(value)(entries)
    if type(value) not in PLAIN and not _reads_back(value):
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise UserError(
            f"expected tensors and plain values in a checkpoint, found a {kind} in {key.lstrip('.')}, which "
            "only code can rebuild: convert it where the state is made, for example with tolist()"
        )
    return value


def _reads_back(value: object) -> bool:
    content = io.BytesIO()
    try:
        torch.save(value, content)
        content.seek(0)
        torch.load(content, weights_only=True)
    except Exception:  # whatever pickle and torch raise, the value is not portable
        return False
    return True
