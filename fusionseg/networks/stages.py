"""Cuts encoders into stages, each of which computes one level of the feature pyramid."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fusionseg.networks.backbone import STRIDE


class Step(NamedTuple):
    """A layer of an encoder, with its arguments besides the features.

    Args:
        name: The layer's name in the encoder.
        args: Further positional arguments.
        kwargs: Keyword arguments.
    """

    name: str
    args: tuple[object, ...]
    kwargs: dict[str, object]

    def __call__(self, body: nn.Module, features: Tensor) -> Tensor:
        """Applies the layer of this name in an encoder of the same architecture to features (B, C, h, w)."""
        return body.get_submodule(self.name)(features, *self.args, **self.kwargs)  # type: ignore[no-any-return]


class Call(NamedTuple):
    """A call of a layer that was recorded in a forward pass.

    Args:
        step: The layer and its arguments.
        read: The object that it read.
        given: The object that it returned.
    """

    step: Step
    read: object
    given: object


def stages(body: nn.Module, in_channels: int) -> list[list[Step]] | None:
    """For each level of an encoder's pyramid the steps that compute it from the level before.

    The calls of the encoder's layers are recorded in a forward pass. The first level, the image itself, needs
    no step.

    Args:
        body: An encoder of segmentation-models-pytorch.
        in_channels: Channels of the image.

    Returns:
        The stages, or `None` if the encoder is not a chain of layers: if it has branches, or operations
        between layers.
    """
    training = body.training
    body.eval()
    size = 4 * STRIDE
    image = torch.linspace(-1, 1, in_channels * size**2).view(1, in_channels, size, size)
    features, calls = _recorded(body, image.clone())
    cut = []
    for feature in features:
        length = max((i for i, call in enumerate(calls, 1) if call.given is feature), default=0)
        cut.append([call.step for call in calls[:length]])
        calls = calls[length:]
    # another image shows operations between the layers, which no call recorded
    equivalent = bool(features) and _equivalent(body, cut, image.flip(-1))
    body.train(training)
    return cut if equivalent else None


def stage(body: nn.Module, steps: Sequence[Step], features: Tensor) -> Tensor:
    """Applies the steps of one stage to the features (B, C, h, w) of the stage before."""
    for step in steps:
        features = step(body, features)
    return features


def entry(features: Tensor, width: int) -> Tensor:
    """A level of the pyramid: the features, or an empty level (B, 0, h / 2, w / 2) if it has no channels.

    Encoders whose first stage has stride 4 have such an empty level at stride 2.
    """
    return features if width else features[:, :0, ::2, ::2]


@torch.no_grad()
def _recorded(body: nn.Module, image: Tensor) -> tuple[list[Tensor], list[Call]]:
    """The pyramid of an encoder and the calls of its outermost layers; empty if these are not a chain."""
    calls: list[Call] = []
    running: list[nn.Module] = []

    def enter(module: nn.Module, _: object) -> None:
        running.append(module)

    def leave(module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object], output: object) -> None:
        running.pop()
        if not running:
            step = Step(names[module], args[1:], kwargs)
            calls.append(Call(step, args[0] if args else None, output))

    # timm's encoders are wrapped once more, as `model`
    names = {module: name for name, module in body.named_modules() if name not in ("", "model")}
    with ExitStack() as hooks:
        for module in names:
            hooks.enter_context(module.register_forward_pre_hook(enter))
            hooks.enter_context(module.register_forward_hook(leave, with_kwargs=True))
        features = body(image)
    expected = [image, *(call.given for call in calls)]
    chained = all(call.read is given for call, given in zip(calls, expected, strict=False))
    return (features, calls) if chained else ([], [])


@torch.no_grad()
def _equivalent(body: Any, cut: list[list[Step]], image: Tensor) -> bool:
    """Whether the stages, one after another, compute the same pyramid as the encoder."""
    pyramid = body(image.clone())
    features = image.clone()
    for steps, width, expected in zip(cut, body.out_channels, pyramid, strict=True):
        features = stage(body, steps, features)
        level = entry(features, width)
        if level.shape != expected.shape or not torch.allclose(level, expected, 1e-3, 1e-4):
            return False
    return True
