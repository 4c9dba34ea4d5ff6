"""Runs an encoder with its decoders once, since some pairs fail only then."""

from collections.abc import Sequence

import torch
from torch import nn

from fusionseg.config.errors import UsageError
from fusionseg.networks.decoder import Decoder
from fusionseg.networks.encoder import Encoder
from fusionseg.networks.pyramid import Pyramid


@torch.enable_grad()
def probe(
    encoder: Encoder, decoders: Sequence[Decoder], size: tuple[int, int], pyramid: bool = False
) -> None:
    """Runs what was paired, since some only fail then, and freezes what is unused, which DDP would wait for.

    Args:
        encoder: The encoder.
        decoders: Decoders of its features.
        size: Height and width of the image.
        pyramid: Whether the features are also read by themselves.

    Raises:
        UsageError: If a decoder's map has another shape than it declares.
    """
    parts = nn.ModuleList([encoder, *decoders]).eval()
    features = encoder(torch.zeros(1, encoder.mean.shape[1], *size))
    outputs = [decoder(features) for decoder in decoders]
    for decoder, output in zip(decoders, outputs, strict=True):
        if output.shape[:2] != (1, decoder.out_channels):
            raise UsageError(
                f"expected a map (1, {decoder.out_channels}, h, w) of the decoder, "
                f"found {tuple(output.shape)}",
                "model.backbone.decoder",
            )
    if pyramid:
        outputs += Pyramid(encoder.out_channels)(features)
    learned = [p for p in parts.parameters() if p.requires_grad]
    total = torch.stack([output.sum() for output in outputs]).sum()
    for parameter, gradient in zip(
        learned, torch.autograd.grad(total, learned, allow_unused=True), strict=True
    ):
        parameter.requires_grad_(gradient is not None)
    parts.train()
