"""Files of weights of plain vision transformers, as their authors or timm name the tensors."""

import importlib
import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

from torch import Tensor

from fusionseg.files.state_dicts import WeightsError, reason
from fusionseg.networks.vit import ViT


def trunk_weights(body: ViT, state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The tensors of a file under the names of an encoder, by timm's own rules for its model.

    They know the files of DINOv2, DINOv3, EVA, SAM, OpenCLIP and others, and resample patches and position
    embeddings of another size.

    Args:
        body: The encoder.
        state: The tensors.
        source: Where they are from, for messages.

    Raises:
        WeightsError: If the rules fail.
    """
    trunk: Any = body.trunk
    rules = importlib.import_module(type(trunk).__module__)
    try:
        # it prints which biases of DINOv3 it leaves out
        with redirect_stdout(io.StringIO()):
            found = rules.checkpoint_filter_fn(dict(state), trunk)
    except Exception as error:  # of any kind, where names fit and shapes do not
        raise WeightsError(
            f"{source}: timm cannot read it as weights of {type(trunk).__name__}: {reason(error)}"
        ) from error
    return {f"trunk.{name}": value for name, value in found.items()}
