"""The base class of decoders, their names, and how one is paired with an encoder."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from fusionseg.config.errors import UsageError
from fusionseg.config.trust import imported
from fusionseg.config.type_names import nearest
from fusionseg.networks.small_cnn import register
from fusionseg.networks.vit import is_vit, registered

KEY = "model.backbone.decoder"


class Decoder(nn.Module, ABC):
    """Computes one feature map from an encoder's pyramid.

    A decoder of one's own is a subclass in any file: `model.backbone.decoder` takes its class path
    (`my_file.Last`), and `model.backbone.options` its arguments after the first. One of the name
    `image_channels` is the number of channels of the image, unless the options name another.

    Args:
        encoder_channels: Channels of each feature of the pyramid, at strides 1, 2, 4 ...; some encoders have
            one of 0 channels.

    Example:
        >>> import torch
        >>> from fusionseg.networks import Backbone
        >>> class Last(Decoder):
        ...     def __init__(self, encoder_channels: Sequence[int], width: int = 64) -> None:
        ...         super().__init__()
        ...         self.out_channels = width
        ...         self.layer = nn.Conv2d(encoder_channels[-1], width, 1)
        ...
        ...     def forward(self, features: Sequence[Tensor]) -> Tensor:
        ...         return self.layer(features[-1])
        >>> encoder, [decoder] = Backbone(decoder="Last", options={"width": 16, "output_stride": 16}).build()
        >>> decoder(encoder(torch.zeros(2, 3, 64, 96))).shape
        torch.Size([2, 16, 4, 6])
    """

    output_stride: ClassVar[int] = 32
    """Stride of the encoder's last feature (below 32 it is dilated); the options can name another."""

    out_channels: int
    """Channels of the map."""

    @abstractmethod
    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The map (B, out_channels, h, w) of a pyramid; h and w divide the image's sides."""


class _Adapted(Decoder):
    """The decoder of a model of segmentation-models-pytorch."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.body = model.decoder
        convolutions = [m for m in model.segmentation_head.modules() if isinstance(m, nn.Conv2d)]
        self.out_channels = convolutions[0].in_channels

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The map (B, out_channels, h, w)."""
        return self.body(features)  # type: ignore[no-any-return]


def decoder_names() -> list[str]:
    """The short names of segmentation-models-pytorch's models and of every imported `Decoder`."""
    return list(_classes())


def check_decoder(name: str) -> None:
    """Raises a `UsageError` for an unknown short name; a class path is left to `paired`, which imports it."""
    if "." in name or name in _own():  # known without segmentation-models-pytorch, which takes long to import
        return
    if name not in _classes():
        raise _unknown(name)


def paired(
    name: str, encoder: str, weights: str | None, in_channels: int, options: Mapping[str, Any]
) -> tuple[nn.Module, Decoder]:
    """An encoder of segmentation-models-pytorch, and a decoder of its features.

    Args:
        name: Short name or class path of the decoder.
        encoder: Name of the encoder.
        weights: Name of the encoder's pretrained weights.
        in_channels: Channels of the image.
        options: Further arguments of the decoder's class; for a `Decoder` also `output_stride`.

    Raises:
        UsageError: If there is no such decoder, or a `Decoder` does not take the options.
    """
    import segmentation_models_pytorch as smp

    kind = _class(name)
    register()
    if is_vit(encoder):
        named = _parameters(kind)
        theirs = {key: value for key, value in options.items() if key not in named}
        kept = {key: value for key, value in options.items() if key in named}
        with registered(encoder, in_channels, weights is not None, theirs) as vit:
            return paired(name, vit, None, in_channels, kept)
    if not issubclass(kind, Decoder):
        model = kind(encoder, encoder_weights=weights, in_channels=in_channels, classes=1, **options)
        return model.encoder, _Adapted(model)
    own = {"output_stride": kind.output_stride, **options}
    stride = own.pop("output_stride")
    signature = inspect.signature(kind)
    if "image_channels" in signature.parameters:
        own = {"image_channels": in_channels, **own}
    try:
        signature.bind([], **own)
    except TypeError as error:
        known = ", ".join(["output_stride", *list(signature.parameters)[1:]])
        raise UsageError(f"{error}; the options of {name} are: {known}", "model.backbone.options") from error
    body = smp.encoders.get_encoder(encoder, in_channels, weights=weights, output_stride=stride)
    return body, kind(list(body.out_channels), **own)


def _parameters(kind: Any) -> set[str]:
    """The options of a decoder's class, apart from those that it hands on to the encoder."""
    named = {p.name for p in inspect.signature(kind).parameters.values() if p.kind is not p.VAR_KEYWORD}
    return named | ({"output_stride"} if issubclass(kind, Decoder) else set())


def _classes() -> dict[str, Any]:
    """Decoders and models of segmentation-models-pytorch by their short names."""
    import segmentation_models_pytorch as smp

    models = {model.__name__: model for model in smp.MODEL_ARCHITECTURES_MAPPING.values()}
    return models | _own()


def _own() -> dict[str, Any]:
    """Every imported `Decoder` by its short name."""
    return {kind.__name__: kind for kind in _concrete(Decoder)}


def _concrete(kind: Any) -> list[type[Decoder]]:
    below = [inner for subclass in kind.__subclasses__() for inner in _concrete(subclass)]
    return below if inspect.isabstract(kind) or kind.__name__.startswith("_") else [kind, *below]


def _class(name: str) -> Any:
    """The class of a short name or class path; nothing else that a path names is ever called."""
    from segmentation_models_pytorch.base import SegmentationModel

    check_decoder(name)
    if "." not in name:
        return _classes()[name]
    try:
        found = imported(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"cannot import decoder {name}: {error}", KEY) from error
    kinds = (Decoder, SegmentationModel)
    if not inspect.isclass(found) or not issubclass(found, kinds) or inspect.isabstract(found):
        raise UsageError(
            f"expected a fusionseg.networks.Decoder or a model of segmentation-models-pytorch, found {name}",
            KEY,
        )
    return found


def _unknown(name: str) -> UsageError:
    names = decoder_names()
    near = nearest(name, names)
    meant = f"{near} Expected" if "did you mean" in near else "; expected"
    return UsageError(f"unknown decoder {name!r}{meant} one of {', '.join(names)} or a class path", KEY)
