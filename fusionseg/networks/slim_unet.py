"""The decoder of a U-Net of half the usual width, up to half the image's size."""

from collections.abc import Sequence

from torch import Tensor, nn

from fusionseg.networks.decoder import Decoder


class SlimUnet(Decoder):
    """The decoder of segmentation-models-pytorch's U-Net (arXiv:1505.04597), by default of half its width.

    It leaves out the last step up, a sixth of the cost of training; the heads' maps are interpolated.

    Args:
        encoder_channels: Channels of each feature of the pyramid.
        decoder_channels: Channels after each step up, the coarsest first; four of five steps by default.
    """

    def __init__(
        self, encoder_channels: Sequence[int], decoder_channels: Sequence[int] = (128, 64, 32, 16)
    ) -> None:
        from segmentation_models_pytorch.base.initialization import initialize_decoder
        from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

        super().__init__()
        self.body: nn.Module = UnetDecoder(encoder_channels, decoder_channels, n_blocks=len(decoder_channels))
        initialize_decoder(self.body)
        self.out_channels = decoder_channels[-1]

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The map (B, out_channels, h, w), at stride 2 by default."""
        return self.body(features)  # type: ignore[no-any-return]
