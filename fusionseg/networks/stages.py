"""Encoders cut into stages, which give one feature of the pyramid each."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fusionseg.networks.backbone import STRIDE


class Step(NamedTuple):
    """A layer of an encoder, and what it is called with besides the features.

    Args:
        name: The layer's name in the encoder.
        args: Further arguments by position.
        kwargs: Further arguments by name.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __call__(self, body: nn.Module, features: Tensor) -> Tensor:
        """What the layer makes of features, in an encoder of the same architecture."""
        return body.get_submodule(self.name)(features, *self.args, **self.kwargs)  # type: ignore[no-any-return]


class Call(NamedTuple):
    """What an encoder did: a step, what it read and what it gave."""

    step: Step
    read: Any
    given: Any


def stages(body: nn.Module, in_channels: int) -> list[list[Step]] | None:
    """For each feature of an encoder the steps that lead to it from the one before; none lead to the image itself.

    The encoder is watched at work. Nothing is given for one that is no chain of layers, such as an encoder with
    branches, or with operations of its own between its layers.

    Args:
        body: An encoder of segmentation-models-pytorch.
        in_channels: Channels of the image.
    """
    training = body.training
    body.eval()
    image = torch.linspace(-1, 1, in_channels * (4 * STRIDE) ** 2).view(
        1, in_channels, 4 * STRIDE, 4 * STRIDE
    )
    features, calls = _watched(body, image.clone())
    cut = []
    for feature in features:
        length = max((i for i, call in enumerate(calls, 1) if call.given is feature), default=0)
        cut.append([call.step for call in calls[:length]])
        calls = calls[length:]
    same = bool(features) and _same(body, cut, image.flip(-1))
    body.train(training)
    return cut if same else None


def stage(body: nn.Module, steps: Sequence[Step], features: Tensor) -> Tensor:
    """What the steps of a stage make of the features before."""
    for step in steps:
        features = step(body, features)
    return features


def entry(features: Tensor, width: int) -> Tensor:
    """The entry of a pyramid for features; an encoder that starts at stride 4 has one of no channels at stride 2."""
    return features if width else features[:, :0, ::2, ::2]


@torch.no_grad()
def _watched(body: nn.Module, image: Tensor) -> tuple[list[Tensor], list[Call]]:
    """The encoder's features and the calls of its outermost layers; nothing where one does not read the one before."""
    calls: list[Call] = []
    inside: list[nn.Module] = []

    def leave(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        inside.pop()
        if not inside:
            calls.append(Call(Step(names[module], args[1:], kwargs), args[0] if args else None, output))

    # timm's encoders are wrapped once more
    names = {module: name for name, module in body.named_modules() if name not in ("", "model")}
    with ExitStack() as hooks:
        for module in names:
            hooks.enter_context(module.register_forward_pre_hook(lambda module, _: inside.append(module)))
            hooks.enter_context(module.register_forward_hook(leave, with_kwargs=True))
        features = body(image)
    before = [image, *(call.given for call in calls)]
    chained = all(call.read is given for call, given in zip(calls, before, strict=False))
    return (features, calls) if chained else ([], [])


@torch.no_grad()
def _same(body: Any, cut: list[list[Step]], image: Tensor) -> bool:
    """Whether the stages, one after another, give what the encoder gives."""
    expected, features, found = body(image.clone()), image.clone(), []
    for steps, width in zip(cut, body.out_channels, strict=True):
        features = stage(body, steps, features)
        found.append(entry(features, width))
    return all(
        f.shape == e.shape and torch.allclose(f, e, 1e-3, 1e-4) for f, e in zip(found, expected, strict=True)
    )
