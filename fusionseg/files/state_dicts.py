"""State dicts in files, read without executing code."""

import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


class WeightsError(ValueError):
    """A file of weights that cannot be used, with the reason and the remedy."""


def reason(error: BaseException) -> str:
    """The first line of what an error says, which some libraries' errors leave empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def unpickled(path: Path) -> Any:
    """What torch saved in a file, on the CPU: tensors and plain containers, else an error of many kinds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of formats that may not be understood; what is not is refused
        return torch.load(path, map_location="cpu", weights_only=True)


def is_state(value: Any) -> bool:
    """Whether this is a state dict as modules load it: names with dense real tensors."""
    return isinstance(value, Mapping) and all(
        isinstance(k, str) and isinstance(v, Tensor) and v.layout == torch.strided and not v.is_complex()
        for k, v in value.items()
    )


def not_finite(state: Mapping[str, Any], may_be_infinite: Collection[str] = ()) -> list[str]:
    """The names of the floating-point tensors that hold NaN or infinity; waits for the device once.

    Args:
        state: A state dict; values that are no tensors are passed over. All tensors are on one device.
        may_be_infinite: Names of tensors that may hold infinity, though not NaN, such as the buffer of a mask.

    >>> not_finite({"weight": torch.tensor([1.0, torch.inf]), "steps": torch.tensor(3)})
    ['weight']
    """
    floats = {
        name: value
        for name, value in state.items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }
    if not floats:
        return []
    wrong = [
        value.isnan().any() if name in may_be_infinite else value.isfinite().logical_not().any()
        for name, value in floats.items()
    ]
    return [name for name, found in zip(floats, torch.stack(wrong).tolist(), strict=True) if found]


def tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors of a file or folder.

    A Lightning checkpoint gives its `state_dict`; a folder is searched for `model.safetensors` (a saved model of
    segmentation-models-pytorch). Nothing is unpickled but tensors and plain containers.

    Raises:
        WeightsError: If there is no such file, or it is not a file of tensors.
    """
    if path.is_dir():
        inside = [path / "model.safetensors", path / "pytorch_model.bin"]
        found = [p for p in inside if p.is_file()]
        if not found:
            raise WeightsError(
                f"{path}: expected a run with a best checkpoint, or one of {', '.join(p.name for p in inside)}; none found"
            )
        path = found[0]
    if not path.is_file():
        raise WeightsError(f"{path}: no such file of weights")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = unpickled(path)
    except Exception as error:
        raise WeightsError(
            f"{path}: expected a file of tensors (safetensors, or torch.save of a state dict): {reason(error)}"
        ) from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not state or not is_state(state):
        raise WeightsError(f"{path}: expected a state dict (names and tensors), found {type(state).__name__}")
    return dict(state)
