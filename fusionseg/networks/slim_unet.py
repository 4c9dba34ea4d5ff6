"""The decoder of a U-Net of half the usual width."""

from collections.abc import Sequence

from torch import Tensor, nn

from fusionseg.networks.decoder import Decoder


class SlimUnet(Decoder):
    """The decoder of segmentation-models-pytorch's U-Net (arXiv:1505.04597), of half its width by default.

    Args:
        encoder_channels: Channels of each feature of the pyramid.
        decoder_channels: Channels after each of the five steps up, the coarsest first.
    """

    def __init__(
        self, encoder_channels: Sequence[int], decoder_channels: Sequence[int] = (128, 64, 32, 16, 8)
    ) -> None:
        from segmentation_models_pytorch.base.initialization import initialize_decoder
        from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

        super().__init__()
        self.body: nn.Module = UnetDecoder(encoder_channels, decoder_channels, n_blocks=len(decoder_channels))
        initialize_decoder(self.body)
        self.out_channels = decoder_channels[-1]

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The map (B, out_channels, H, W) at the size of the image."""
        return self.body(features)  # type: ignore[no-any-return]
