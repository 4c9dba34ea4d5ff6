"""The backbone: builds an encoder and its decoders from their names."""

import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from fusionseg.config.errors import UsageError
from fusionseg.config.remedies import ONE_SIZE, remedied
from fusionseg.config.type_names import nearest
from fusionseg.files.state_dicts import tensors
from fusionseg.networks.decoder import Decoder, check_decoder, decoder_names, paired
from fusionseg.networks.depthwise import keep_strided_depthwise_wide
from fusionseg.networks.encoder import Encoder
from fusionseg.networks.pretrained import find_hub, loaded, mark_pretrained
from fusionseg.networks.probe import probe
from fusionseg.networks.pyramid import Pyramid, readers
from fusionseg.networks.vit import ViT, is_vit, normalization
from fusionseg.networks.vit_weights import trunk_weights

STRIDE = 32
"""The sides of every input are padded to multiples of this."""

NATIVE = 224
"""The side of the images of most encoders that take images of one size only."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

RECORDED = ("weights", "mean", "std", "late_dilation")
"""The arguments of which a checkpoint records what they came to when the training started."""


@dataclass(frozen=True)
class Backbone:
    """Describes an encoder and a decoder, of which a network builds as many as it needs.

    Args:
        encoder: An encoder of segmentation-models-pytorch (`resnet18`, `mobilenet_v2` ...), of timm (`tu-`
            and timm's name), or `small_cnn`. A plain transformer of timm (`tu-vit_small_patch14_dinov2` and
            other DINOv2, DINOv3, EVA and SAM) gets the feature pyramid of ViTDet. The MiT, MobileOne and
            DINOv3 encoders have licences of their own.
        weights: Where the encoder starts: the name of pretrained weights (`imagenet`), or a file; a
            `.safetensors` file or a PyTorch state dict; random where left out.
        decoder: A model of segmentation-models-pytorch (`Unet`, `UnetPlusPlus`, `MAnet`, `Linknet`, `FPN`,
            `PSPNet`, `DeepLabV3`, `DeepLabV3Plus`, `PAN` for sides of 128 or more, `UPerNet`, `Segformer`
            ...), `SlimUnet` (a U-Net of half the width), `FCN`, `SegNet`, or the class path of another such
            model or of a `Decoder` of your own. `DPT`, which reads the tokens of a transformer besides its
            features, cannot be built.
        in_channels: Channels of the image: 3, RGB and more, or 1 of gray images.
        options: Further arguments of the decoder's class: those of the model in segmentation-models-pytorch
            (`decoder_channels` ...), or those of the `Decoder` and `output_stride`. For a plain transformer
            also those of timm's model (`drop_path_rate` ...) and `pyramid_channels` (256).
        mean: Mean of each channel, for values in [0, 1]; where left out, what the weights expect (ImageNet's,
            and 0.5 for more channels; for one their mean).
        std: Standard deviation of each channel, likewise; 0.25 for more channels.
        late_dilation: Dilate stages a block late, as torchvision; the first block of a dilated stage of a
            ResNet then keeps the dilation of the stage before, as in torchvision's DeepLabV3 and FCN. Where
            left out, what the weights of `fit --weights` were trained with, else false.
        channels_last: Weights and images lie channels-last; where left out, what is faster
            on the device in its precision.

    Raises:
        UsageError: If the decoder is an unknown short name. A class path is imported only when the decoder is
            built, so that reading a checkpoint imports nothing.
    """

    encoder: str = "resnet18"
    weights: str | None = None
    decoder: str = "Unet"
    in_channels: int = 3
    options: dict[str, Any] = field(default_factory=dict)
    mean: list[float] | None = None
    std: list[float] | None = None
    late_dilation: bool | None = None
    channels_last: bool | None = None

    def __post_init__(self) -> None:
        # the default is known without segmentation-models-pytorch, which takes long to import
        if self.decoder != Backbone.decoder:
            check_decoder(self.decoder)

    def build_for(self, heads: Mapping[str, Any]) -> tuple[Encoder, dict[str, Decoder | Pyramid]]:
        """One encoder, and for each task a decoder, or the pyramid where the task's head reads that.

        Args:
            heads: The recipe of each task's head.

        Raises:
            ValueError: As `build`.
        """
        reading = readers(heads)
        encoder, decoders = self.build(len(heads) - len(reading), pyramid=bool(reading))
        left = iter(decoders)
        return encoder, {
            task: Pyramid(encoder.out_channels) if task in reading else next(left) for task in heads
        }

    def build(self, decoders: int = 1, pyramid: bool = False) -> tuple[Encoder, list[Decoder]]:
        """One encoder and so many decoders for it.

        Args:
            decoders: How many.
            pyramid: Whether the encoder's features are also read by themselves.

        Raises:
            ValueError: If there is no such encoder, decoder or file of weights, or the two cannot be paired;
                it names the decoders that the encoder can be paired with.
        """
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) != self.in_channels:
                raise ValueError(f"expected {name} of {self.in_channels} channels, found {values}")
        if self.in_channels < 3 and self.in_channels != 1:
            raise ValueError(f"expected in_channels of 1, or 3 or more (RGB first), found {self.in_channels}")
        if self._named and self._published:
            find_hub(self._named)
        try:
            encoder, first = self._pair(self._named)
            parts = [first] + [self._pair(None)[1] for _ in range(decoders - 1)]
            parts = parts[:decoders]
            probe(encoder, parts, self._size, pyramid)
        except UsageError:
            raise
        # nobody lists what libraries raise where two parts do not fit or a download fails
        except Exception as error:
            raise remedied(error) or self._of_one_size(error) or ValueError(self._remedy(error)) from error
        if self._named:
            mark_pretrained(encoder.trunk, (name for name, _ in encoder.trunk.named_parameters()))
        elif self.weights:
            state = tensors(Path(self.weights))
            if isinstance(encoder.body, ViT):
                state = trunk_weights(encoder.body, state, self.weights)
            elif self.encoder.startswith("tu-"):
                state = {
                    f"model.{name.replace('stages.', 'stages_')}": value for name, value in state.items()
                }
            loaded(encoder.body, state, self.weights, f"the {self.encoder} encoder")
        encoder.adopt(late_dilation=self.late_dilation)
        encoder.size = self._size
        return encoder, parts

    @property
    def _named(self) -> str | None:
        """The name of pretrained weights, unless a file is meant."""
        return self.weights if self.weights and not _is_file(self.weights) else None

    @property
    def _size(self) -> tuple[int, int]:
        """Height and width of an image that the encoder takes."""
        size = self.options.get("img_size", 4 * STRIDE)
        return (size, size) if isinstance(size, int) else tuple(size)

    @property
    def _published(self) -> bool:
        """Whether there are weights of that name, as far as is known here."""
        import segmentation_models_pytorch as smp

        known = smp.encoders.encoders.get(self.encoder, {}).get("pretrained_settings", {})
        return self.encoder.startswith("tu-") or self._named in known

    def _pair(self, weights: str | None) -> tuple[Encoder, Decoder]:
        body, decoder = paired(self.decoder, self.encoder, weights, self.in_channels, self.options)
        keep_strided_depthwise_wide(body)
        return Encoder(body, *self._normalization(), self.channels_last), decoder

    def _normalization(self) -> tuple[list[float], list[float]]:
        mean = list(IMAGENET_MEAN)
        std = list(IMAGENET_STD)
        if self.weights and is_vit(self.encoder):
            mean, std = normalization(self.encoder)
        elif self._named and not (self.mean and self.std):
            import segmentation_models_pytorch as smp

            expected = smp.encoders.get_preprocessing_params(self.encoder, self._named)
            top = expected["input_range"][-1]
            mean = [m / top for m in expected["mean"]]
            std = [s / top for s in expected["std"]]
        if self.in_channels == 1:
            return self.mean or [sum(mean) / 3], self.std or [sum(std) / 3]
        more = self.in_channels - 3
        return self.mean or mean + [0.5] * more, self.std or std + [0.25] * more

    def _of_one_size(self, error: Exception) -> UsageError | None:
        """An error of an encoder of timm that works with images of its own size alone; None of others."""
        sized = replace(self, options={**self.options, "img_size": NATIVE})
        if not self.encoder.startswith("tu-") or "img_size" in self.options or not sized._works():
            return None
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        return UsageError(f"{ONE_SIZE} ({reason})", "model.backbone.options")

    def _remedy(self, error: Exception) -> str:
        import segmentation_models_pytorch as smp

        reason = str(error).strip("'\"").splitlines()[0][:300]
        known = smp.encoders.get_encoder_names()
        if not self.encoder.startswith("tu-") and self.encoder not in known:
            return (
                f"model.backbone.encoder: unknown encoder {self.encoder!r}{nearest(self.encoder, known)} "
                f"Expected `tu-` and a name of timm's, or one of: {', '.join(known)}"
            )
        pairs = [
            d for d in decoder_names() if d != self.decoder and Backbone(self.encoder, decoder=d)._works()
        ]
        return (
            f"encoder {self.encoder!r} and decoder {self.decoder!r} with weights {self.weights!r} and "
            f"options {str(self.options)[:200]} cannot be built: {reason}. Without options and weights "
            f"{self.encoder} works with: {', '.join(pairs) or 'none of the decoders'}"
        )

    def _works(self) -> bool:
        # large transformers take long to draw at random
        where = torch.device("meta") if is_vit(self.encoder) else nullcontext()
        with warnings.catch_warnings(), where:
            warnings.simplefilter("ignore")  # of pairs that nobody has chosen
            try:
                encoder, decoder = self._pair(None)
                probe(encoder, [decoder], self._size)
            except Exception:
                return False
        return True


def _is_file(weights: str) -> bool:
    path = Path(weights)
    return (
        path.suffix in {".safetensors", ".pt", ".pth", ".ckpt", ".bin"}
        or path.is_file()
        or len(path.parts) > 1
    )
