"""A layer between the maps of two networks, which training alone needs."""

from typing import Any

from torch import nn


class Adapter(nn.Conv2d):
    """A 1x1 convolution from a network's maps to those of its teacher (FitNets, arXiv:1412.6550).

    It is trained with the network that holds it, but no state dict has it: answers do not need it.

    Args:
        in_channels: Channels of the network's maps.
        out_channels: Channels of the teacher's.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)
        self.register_state_dict_post_hook(_leave_out)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_stay)  # type: ignore[no-untyped-call]


def _leave_out(adapter: nn.Module, state: dict[str, Any], prefix: str, _: object) -> None:
    """Removes an adapter's parameters from the state dict of a network."""
    for name, _parameter in adapter.named_parameters():
        state.pop(f"{prefix}{name}", None)


def _stay(adapter: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Adds an adapter's own parameters to a state dict that is loaded, which has none."""
    for name, parameter in adapter.named_parameters():
        state[f"{prefix}{name}"] = parameter.detach()
