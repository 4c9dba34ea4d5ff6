"""The size of a model, and the operations of one forward pass."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

OTHERS = "others"
"""The part of a model that has what is in none of its network's parts, such as weights of a balancer."""


def parameters(model: nn.Module) -> dict[str, int]:
    """The number of parameters of each part of a model, encoder, decoders, heads and others, each once.

    Args:
        model: A LightningModule; one without a `network` is one part.
    """
    network = getattr(model, "network", None)
    parts: dict[str, int] = {}
    seen: set[int] = set()
    for name, part in network.named_children() if isinstance(network, nn.Module) else ():
        own = {id(p): p.numel() for p in part.parameters() if id(p) not in seen}
        seen |= own.keys()
        if own:
            parts[name] = sum(own.values())
    rest = sum(p.numel() for p in model.parameters() if id(p) not in seen)
    return {**parts, **({OTHERS: rest} if rest else {})}


@torch.no_grad()
def macs(model: Any, image: Tensor) -> int:
    """Multiply-accumulate operations of a forward pass: convolutions, matrix products and attention.

    These are half of what torch's `FlopCounterMode` counts. Additions of biases, normalization, activations,
    pooling and interpolation are left out, as is usual, and so are the operations of decoding.

    Args:
        model: The model, in evaluation mode.
        image: Images (B, C, H, W) as the network reads them.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    # a fused attention layer is one operation, which is not counted
    torch.backends.mha.set_fastpath_enabled(False)
    for parameter in learned:
        parameter.requires_grad_(False)  # else the counter looks for gradients of what was computed without
    try:
        with FlopCounterMode(display=False) as counter:
            model(image)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for parameter in learned:
            parameter.requires_grad_(True)
    return int(counter.get_total_flops()) // 2
