"""The parameters of an encoder by the level of its pyramid, from the stem to the deepest stage."""

import torch
from torch import nn

from fusionseg.networks.encoder import Encoder
from fusionseg.networks.necked import Necked


@torch.enable_grad()
def parameters_by_level(encoder: Encoder) -> list[list[nn.Parameter]]:
    """The trainable parameters of an encoder, by the first level of its pyramid that depends on them.

    What a parameter reaches is found by gradients, for one image, so that any encoder has its stages,
    whatever its layers are called. All levels of a plain transformer depend on all its blocks: there each
    block is a level, and the neck is the last.

    Args:
        encoder: The encoder; its batch statistics stay as they are.

    Returns:
        A list for each level that has parameters of its own, at strides 2, 4 ...; a ResNet has five, and a
        transformer of twelve blocks fourteen.
    """
    if isinstance(encoder.body, Necked):
        parts = [*encoder.body.levels(), list(encoder.body.neck.parameters())]
        trained = [[p for p in part if p.requires_grad] for part in parts]
        return [part for part in trained if part]
    learned = [p for p in encoder.parameters() if p.requires_grad]
    modes = {module: module.training for module in encoder.modules()}
    image = encoder.mean.new_zeros(1, encoder.mean.shape[1], *encoder.size)
    encoder.eval()
    levels: list[list[nn.Parameter]] = []
    for level in encoder.body(image.contiguous(memory_format=encoder.layout)):
        if not learned or not level.requires_grad:
            continue
        slopes = torch.autograd.grad(level.sum(), learned, retain_graph=True, allow_unused=True)
        levels.append([p for p, slope in zip(learned, slopes, strict=True) if slope is not None])
        learned = [p for p, slope in zip(learned, slopes, strict=True) if slope is None]
    for module, mode in modes.items():
        module.training = mode
    if learned:  # which no level reads: as the layers above
        levels.append(learned)
    return [level for level in levels if level]
