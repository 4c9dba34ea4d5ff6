"""Loads pretrained weights from files: takes what fits, and lists what does not."""

import os
import re
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from torch import Size, Tensor, nn

from fusionseg.balancing import Balancer
from fusionseg.files.state_dicts import WeightsError, not_finite, tensors
from fusionseg.losses import Loss
from fusionseg.networks.encoder import Encoder

LAST_BLOCK = "network.encoder.body.layer4.0.conv3.weight"
"""A parameter of ResNets of bottleneck blocks."""

_MARK = "pretrained_names"
"""The attribute of a layer that names its pretrained parameters."""


def mark_pretrained(module: nn.Module, names: Iterable[str]) -> None:
    """Remembers in its layers which parameters of a module do not start at random."""
    for name in names:
        layer, _, own = name.rpartition(".")
        vars(module.get_submodule(layer)).setdefault(_MARK, set()).add(own)


def pretrained_parameters(module: nn.Module) -> set[str]:
    """The names of the parameters that do not start at random, wherever they were loaded from."""
    marked = {layer: vars(part).get(_MARK, ()) for layer, part in module.named_modules()}
    return {f"{layer}.{own}".lstrip(".") for layer, names in marked.items() for own in names}


def loaded(module: nn.Module, state: Mapping[str, Tensor], source: Path | str, what: str) -> list[str]:
    """Loads what fits, by name and shape, and gives the names in the module that were not found.

    A convolution of RGB is made one of more channels, or of one, as segmentation-models-pytorch does it with
    weights that it knows by name, and one of gray images is widened to RGB in the same way. The state of
    balancers and losses, which belongs to a training and its data, is left as it is.

    Args:
        module: What is to be initialized.
        state: The tensors.
        source: Where they are from, for messages.
        what: What the module is called in messages.

    Raises:
        WeightsError: If nothing fits, or a tensor to be loaded is not finite.
    """
    apart = tuple(f"{k}." for k, part in module.named_modules() if isinstance(part, Balancer | Loss))
    own = {k: v for k, v in module.state_dict().items() if not k.startswith(apart)}
    others = {k: v for k, v in state.items() if k in own and _is_of_other_colors(v.shape, own[k].shape)}
    state = {**state, **{k: _of_channels(v, own[k].shape[1]) for k, v in others.items()}}
    fits = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    learned = {k for k, _ in module.named_parameters()}
    if not learned & fits.keys():
        raise WeightsError(
            f"{source}: none of the {len(state)} tensors fits {what}: it has {', '.join(list(own)[:3])} ..., "
            f"the file has {', '.join(list(state)[:3])} ...; is it another architecture?"
        )
    if wrong := not_finite(fits):
        raise WeightsError(f"{source}: the weights for {what} hold NaN or infinity in {', '.join(wrong[:3])}")
    module.load_state_dict(fits, strict=False)
    mark_pretrained(module, learned & fits.keys())
    missing = [k for k in own if k not in fits and not k.endswith("num_batches_tracked")]
    unused = len(state.keys() - fits.keys())
    print(f"{what}: {len(fits)} of {len(own)} tensors loaded from {source}, {unused} of the file not used")
    for name, value in others.items():
        change = "summed" if own[name].shape[1] == 1 else "widened"
        print(f"  {change}: {name} {tuple(own[name].shape)} (has shape {tuple(value.shape)} in the file)")
    for name in missing:
        reason = f"has shape {tuple(state[name].shape)}" if name in state else "is missing"
        print(f"  initialized: {name} {tuple(own[name].shape)} ({reason} in the file)")
    return missing


def _is_of_other_colors(shape: Size, wanted: Size) -> bool:
    """Whether weights are of a convolution of RGB or gray, and those of other images are wanted."""
    return (
        len(shape) == len(wanted) == 4
        and (shape[1] == 3 < wanted[1] or (shape[1], wanted[1]) in ((1, 3), (3, 1)))
        and (shape[0], *shape[2:]) == (wanted[0], *wanted[2:])
    )


def _of_channels(weight: Tensor, channels: int) -> Tensor:
    """The weights (K, C, h, w) for so many channels: those of R, G and B in turn, all times C / channels.

    Those for one channel are their sum.
    """
    own = weight.shape[1]
    if channels == 1:
        return weight.sum(1, keepdim=True)
    turns = [i % own for i in range(channels)]
    return weight[:, turns] * (own / channels)


def load_whole(model: nn.Module, path: Path, recorded: Mapping[str, Any] | None = None) -> list[str]:
    """Loads the weights of any whole segmentation model; gives the names that had to be initialized.

    Args:
        model: The module.
        path: A checkpoint of fusionseg, a state dict of torchvision's DeepLabV3, FCN or Mask R-CNN, a saved
            model of segmentation-models-pytorch, or a safetensors file of one of these.
        recorded: Arguments of `Backbone` that the weights were trained with, if known: where the model's own
            leave them open, its encoder adopts their normalization and dilation, and torchvision's dilation
            with torchvision's weights.
    """
    names = [name for name, _ in model.named_parameters()]
    decoder = "semantic" if any(".decoders.semantic." in name for name in names) else "shared"
    theirs = tensors(path)
    state = {renamed(name, decoder, theirs): v for name, v in theirs.items()}
    missing = loaded(model, state, path, "the model")
    encoder = getattr(getattr(model, "network", None), "encoder", None)
    if isinstance(encoder, Encoder):
        known = recorded or {}
        if any(name.startswith("network.encoder.") for name in missing):
            known = {}
        if _is_torchvision(theirs) and LAST_BLOCK in set(names) - set(missing):
            known = {"late_dilation": True}
        own: Any = getattr(model, "hparams", {})
        chosen = {name for name, value in own.get("backbone", {}).items() if value is not None}
        encoder.adopt(**{name: known.get(name) for name in {"mean", "std", "late_dilation"} - chosen})
    return missing


def _is_torchvision(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is of torchvision's DeepLabV3 or FCN on a ResNet, which it dilates late."""
    return "backbone.layer4.0.conv3.weight" in state and any(k.startswith("classifier.") for k in state)


def renamed(name: str, decoder: str, among: Mapping[str, Tensor]) -> str:
    """The name in our networks of a tensor of another project, such as of torchvision's Mask R-CNN.

    Args:
        name: Its name there.
        decoder: The decoder of ours that takes the other's place.
        among: All tensors there, which tell the architecture.
    """
    body = f"network.decoders.{decoder}.body."
    head = "network.heads.semantic.layers.1."
    smp = {"encoder.": "network.encoder.body.", "decoder.": body, "segmentation_head.0.": head}
    pyramid = any(k.startswith("classifier.0.convs.") for k in among)
    aspp = {"classifier.0.": f"{body}aspp.", "classifier.1.": f"{body}conv.", "classifier.2.": f"{body}bn."}
    fcn = {"classifier.0.": f"{body}0.", "classifier.1.": f"{body}1."}
    torchvision = {"backbone.": "network.encoder.body.", "classifier.4.": head, **(aspp if pyramid else fcn)}
    region = "network.heads.region."
    detector = {
        "backbone.body.": "network.encoder.body.",
        "backbone.fpn.": f"{region}fpn.",
        "rpn.": f"{region}rpn.",
        "roi_heads.": f"{region}roi_heads.",
    }
    for theirs, ours in detector.items():
        if name.startswith(theirs):
            return ours + _current(name.removeprefix(theirs))
    for theirs, ours in {**smp, **torchvision}.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def _current(name: str) -> str:
    """The name of a layer of torchvision's detectors, of which the files that it offers have older ones."""
    name = re.sub(r"^((inner|layer)_blocks\.\d)\.(weight|bias)$", r"\1.0.\3", name)
    name = re.sub(r"^head\.conv\.(weight|bias)$", r"head.conv.0.0.\1", name)
    old = re.match(r"mask_head\.mask_fcn(\d)\.(weight|bias)$", name)
    return f"mask_head.{int(old[1]) - 1}.0.{old[2]}" if old else name


def find_hub(weights: str) -> None:
    """Fails within five seconds where the hub of weights is out of reach.

    Its client cannot be made to: however short its timeouts (`HF_HUB_ETAG_TIMEOUT`,
    `HF_HUB_DOWNLOAD_TIMEOUT`) are, it tries each request six times with pauses that grow to 8 s, which no
    setting changes.

    Args:
        weights: The name of the weights, for the message.

    Raises:
        ValueError: If the hub does not answer.
    """
    if any(os.environ.get(name) for name in ("HF_HUB_OFFLINE", "HTTPS_PROXY", "https_proxy")):
        return
    address = urlparse(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    try:
        socket.create_connection((address.hostname or "", address.port or 443), timeout=5).close()
    except OSError as error:
        raise ValueError(
            f"the weights {weights!r} come from {address.hostname}, which does not answer ({error}): name a "
            "file (model.backbone.weights FILE), leave them out (null), or set HF_HUB_OFFLINE=1 to use "
            "downloaded ones"
        ) from error
