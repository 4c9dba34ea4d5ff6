"""Plain vision transformers of timm (DINOv2, DINOv3, EVA, SAM ...) as encoders with a feature pyramid."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from fusionseg.config.errors import UsageError
from fusionseg.networks.necked import Necked
from fusionseg.networks.simple_pyramid import SimplePyramid

PREFIX = "tu-"
"""What stands before the names of timm's models."""

SAM = "vision_transformer_sam"

FAMILIES = ("vision_transformer", "eva", SAM)
"""The modules of timm that define plain transformers of free sizes."""

FINEST = 4
"""Stride of the finest map; there is none at stride 2."""


class ViT(Necked):
    """A plain vision transformer with the simple feature pyramid of ViTDet.

    The map is that of the last block behind the model's last normalization (for SAM: its neck) without class
    and register tokens. Images keep their size: position embeddings are interpolated to it as timm does
    (bicubic), and rotary ones computed for it. Patches whose side is no power of two are resampled to one
    that is (14 pixels become 16, with as many patches in an image of the model's own size, which grows with
    them), so that maps have the strides of other encoders.

    Args:
        name: timm's name of the model, with or without that of its weights.
        in_channels: Channels of the image.
        pretrained: Whether timm's weights of that name are downloaded.
        options: Further arguments of timm's model, and `pyramid_channels` (256) of the pyramid's maps.
        depth: The number of levels, at strides 2, 4 ..., of which the first is empty.
        output_stride: The largest stride; deeper levels have that.

    Raises:
        UsageError: If timm's model has no such option.
    """

    def __init__(
        self,
        name: str,
        in_channels: int = 3,
        pretrained: bool = False,
        options: Mapping[str, Any] | None = None,
        depth: int = 5,
        output_stride: int = 32,
    ) -> None:
        own = dict(options or {})
        width = own.pop("pyramid_channels", 256)
        trunk, stride = _trunk(name, own, in_chans=in_channels, pretrained=pretrained)
        strides = [min(2**level, output_stride) for level in range(2, depth + 1)]
        super().__init__(trunk, SimplePyramid(trunk.num_features, stride, strides, width))
        self.output_stride = output_stride
        self.out_channels = [in_channels, 0] + [width] * len(strides)

    def features(self, image: Tensor) -> list[Tensor]:
        """The image, whose sides are multiples of the patches', and the map of its patches."""
        trunk: Any = self.trunk
        [last] = trunk.forward_intermediates(image, indices=1, norm=True, intermediates_only=True)
        if not isinstance(getattr(trunk, "fc_norm", nn.Identity()), nn.Identity):
            # models that average tokens normalize only then
            last = trunk.fc_norm(last.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return [image, last]

    def levels(self) -> list[list[nn.Parameter]]:
        """The parameters of the patches' embedding and of each block, those behind the last with it."""
        from timm.models import group_parameters

        trunk: Any = self.trunk
        found = group_parameters(trunk, trunk.group_matcher(), reverse=True)
        depth = {name: min(level, len(trunk.blocks)) for name, level in found.items()}
        parameters = dict(trunk.named_parameters())
        names = sorted(depth, key=lambda name: depth[name])
        return [[parameters[n] for n in level] for _, level in groupby(names, key=lambda name: depth[name])]

    def set_in_channels(self, in_channels: int, pretrained: bool = False) -> None:
        """Does nothing, since timm makes models for channels; segmentation-models-pytorch calls it."""

    def make_dilated(self, output_stride: int) -> None:
        """Does nothing, since the pyramid was built for the stride; segmentation-models-pytorch calls it."""


def is_vit(encoder: str) -> bool:
    """Whether an encoder's name, such as `tu-vit_small_patch14_dinov2`, is of a plain transformer."""
    if not encoder.startswith(PREFIX):
        return False
    from timm.models import is_model_in_modules

    return is_model_in_modules(encoder.removeprefix(PREFIX), FAMILIES)


def normalization(encoder: str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each color that a plain transformer's weights expect, in [0, 1]."""
    from timm.models import get_pretrained_cfg

    settings: Any = get_pretrained_cfg(encoder.removeprefix(PREFIX), allow_unregistered=False)
    return list(settings.mean), list(settings.std)


@contextmanager
def registered(encoder: str, in_channels: int, pretrained: bool, options: Mapping[str, Any]) -> Iterator[str]:
    """A context in which segmentation-models-pytorch builds a plain transformer, by the name that it gives.

    Args:
        encoder: The encoder's name.
        in_channels: As of `ViT`.
        pretrained: As of `ViT`.
        options: As of `ViT`.
    """
    import segmentation_models_pytorch as smp

    name = encoder.removeprefix(PREFIX)
    params = {"name": name, "in_channels": in_channels, "pretrained": pretrained, "options": options}
    smp.encoders.encoders[name] = {"encoder": ViT, "pretrained_settings": {}, "params": params}
    try:
        yield name
    finally:
        del smp.encoders.encoders[name]


def _trunk(name: str, options: Mapping[str, Any], **kwargs: Any) -> tuple[Any, int]:
    """Timm's model without its classifier, and the stride of its map, a power of two."""
    import timm
    from timm.models import is_model_in_modules

    sizes: dict[str, Any] = {} if is_model_in_modules(name, SAM) else {"dynamic_img_size": True}
    try:
        with torch.device("meta"):
            native: Any = timm.create_model(name, **{"num_classes": 0, **sizes, **options})
    except TypeError as error:
        raise UsageError(
            f"{error}; neither the decoder nor timm's {name} has such an option", "model.backbone.options"
        ) from error
    patch = max(native.patch_embed.patch_size)
    stride = 2 ** (patch - 1).bit_length()
    if stride != patch:
        sizes["patch_size"] = stride
        sizes["img_size"] = tuple(stride * side for side in native.patch_embed.grid_size)
    return timm.create_model(name, **{"num_classes": 0, **options, **sizes}, **kwargs), stride
