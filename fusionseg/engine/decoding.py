"""Parameters of the heads' decodings and temperatures, such as those that `fusionseg tune` chose."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from fusionseg.config.errors import UserError
from fusionseg.heads import Head

Parameters: TypeAlias = dict[str, dict[str, float]]
"""Parameters of decodings by task and name."""


def decode_with(heads: Mapping[str, Head], parameters: Parameters, source: Path | str) -> None:
    """Changes parameters of the heads' decodings.

    Args:
        heads: The head of each task.
        parameters: The parameters by task and name.
        source: The file that they are from.

    Raises:
        UserError: If a head is missing or cannot be used with them.
    """
    for task, values in parameters.items():
        if task not in heads:
            known = ", ".join(heads) or "nothing"
            raise UserError(f"{source}: expected a head of {task}, found heads of {known}")
        try:
            heads[task].set_decoding(**values)
        except (ValueError, TypeError) as error:
            raise UserError(f"{source}: {task}: {error}") from error


def set_temperatures(heads: Mapping[str, Head], temperatures: Mapping[str, Any], source: Path | str) -> None:
    """Changes the temperatures of the heads' probabilities.

    Args:
        heads: The head of each task.
        temperatures: The temperature by task.
        source: The file that they are from.

    Raises:
        UserError: If a head is missing, or a temperature is no number above 0.
    """
    for task, value in temperatures.items():
        if task not in heads:
            raise UserError(
                f"{source}: expected a head of {task}, found heads of {', '.join(heads) or 'nothing'}"
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise UserError(f"{source}: {task}: expected a temperature above 0, found {value!r}")
        heads[task].temperature = value
