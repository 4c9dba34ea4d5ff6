"""State dicts in files, read without executing code."""

import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import torch
from torch import Tensor, nn

from fusionseg.config.errors import UserError, with_place
from fusionseg.config.parser_messages import innermost

Checkpoint: TypeAlias = dict[str, Any]
"""The content of a checkpoint or the state of a callback: tensors, plain values, and containers of these."""


WITHIN = ("state_dict", "model", "module")
"""The names under which files of checkpoints hold a state dict."""


class WeightsError(UserError):
    """A file of weights cannot be used; the message gives the reason and the remedy."""


def reason(error: BaseException) -> str:
    """The first line of an error's message, at most 200 characters, or its class if the message is empty.

    >>> reason(KeyError())
    'KeyError'
    """
    lines = str(error).strip().splitlines()
    return (lines or [type(error).__name__])[0][:200]


def unpickled(path: Path) -> Any:
    """The content of a file of `torch.save`, on the CPU, if it consists of tensors and plain containers.

    Raises:
        Exception: If it does not; torch raises errors of many kinds.
    """
    with warnings.catch_warnings():
        # torch warns of formats that it may not understand, and raises for those that it does not
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True)


def is_state(value: object) -> TypeGuard[Mapping[str, Tensor]]:
    """Whether a value is a state dict that modules can load: names with dense real tensors.

    >>> is_state({"weight": torch.ones(2)}), is_state({"weight": 1.0})
    (True, False)
    """
    if not isinstance(value, Mapping):
        return False
    return all(isinstance(name, str) and _is_dense_real(entry) for name, entry in value.items())


def _is_dense_real(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_complex()


def not_finite(state: Mapping[str, Any], may_be_infinite: Collection[str] = ()) -> list[str]:
    """The names of the floating-point tensors that hold NaN or infinity; waits for the device once.

    Args:
        state: A state dict; values that are no tensors are passed over. All tensors are on one device.
        may_be_infinite: Names of tensors that may hold infinity, though not NaN, such as the buffer of a
            mask.

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


def check_weights(model: nn.Module, source: Path) -> None:
    """Checks the weights of a model.

    Args:
        model: The model.
        source: The file that they are from, or are to be written to.

    Raises:
        WeightsError: If a parameter or buffer holds NaN, or a parameter infinity.
    """
    buffers = {name for name, _ in model.named_buffers()}
    if wrong := not_finite(model.state_dict(), may_be_infinite=buffers):
        raise WeightsError(
            f"{source}: the weights hold NaN or infinity in {', '.join(wrong[:3])}: take another"
        )


@contextmanager
def unusable(source: Path | str, name: str) -> Iterator[None]:
    """Turns any error into a WeightsError, as nobody lists what constructors say to arguments of any kind.

    Args:
        source: Where the arguments and the weights are from.
        name: The class that they are to make.
    """
    try:
        yield
    except Exception as error:
        reported = " ".join(str(innermost(error)).split())[:300] or type(error).__name__
        raise WeightsError(f"{source}: what it holds makes no {name}: {with_place(reported)}") from error


def tensors(path: Path) -> dict[str, Tensor]:
    """The state dict in a file or folder; only tensors and plain containers are unpickled.

    Of a Lightning checkpoint this is its `state_dict`, of those of others `model` or `module`. A folder is
    searched for `model.safetensors` (a saved model of segmentation-models-pytorch) and `pytorch_model.bin`.

    Raises:
        WeightsError: If there is no such file, or it does not contain a state dict.
    """
    path = _weights_file(path)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = unpickled(path)
    except Exception as error:
        raise WeightsError(
            f"{path}: expected a file of tensors (safetensors, or torch.save of a state dict): "
            f"{reason(error)}"
        ) from error
    if isinstance(state, Mapping):
        state = next((state[key] for key in WITHIN if isinstance(state.get(key), Mapping)), state)
    if not state or not is_state(state):
        raise WeightsError(f"{path}: expected a state dict (names and tensors), found {type(state).__name__}")
    return dict(state)


def _weights_file(path: Path) -> Path:
    """The file itself, or the first file of weights in a folder.

    Raises:
        WeightsError: If there is none.
    """
    if path.is_dir():
        candidates = [path / "model.safetensors", path / "pytorch_model.bin"]
        found = [candidate for candidate in candidates if candidate.is_file()]
        if not found:
            names = ", ".join(candidate.name for candidate in candidates)
            raise WeightsError(
                f"{path}: expected a run with a best checkpoint, or one of {names}; none found"
            )
        path = found[0]
    if not path.is_file():
        raise WeightsError(f"{path}: no such file of weights")
    return path
