"""Cross-task attention: each task's features attend to those of all other tasks."""

from collections.abc import Mapping, Sequence
from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionseg.losses.enlarging import scaled
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe, Network, Outputs
from fusionseg.networks.pyramid import refuse_readers


class CrossTaskAttention(Network):
    """One encoder for all tasks and one decoder per task, whose features attend to those of the other tasks.

    This is a light version of the correlation-guided attention of DenseMTL (arXiv:2206.08927): at a single
    scale, that of the decoders, with multi-head attention on pooled features, and without self-attention. A
    learned gate starts at 0, so that the network starts as hard parameter sharing with one decoder per task.

    Args:
        heads: The recipe of each task's head.
        backbone: Which encoder and decoders to build.
        width: Channels of queries, keys and values.
        attention_heads: Number of attention heads, a divisor of the width.
        tokens: Features are pooled to at most this many positions.

    Raises:
        ValueError: If the attention heads do not divide the width, or there is less than one token.
    """

    def __init__(
        self,
        heads: Mapping[str, HeadRecipe],
        backbone: Backbone,
        width: int = 64,
        attention_heads: int = 4,
        tokens: int = 1024,
    ) -> None:
        super().__init__()
        if attention_heads < 1 or width < 1 or width % attention_heads:
            raise ValueError(
                f"expected attention_heads that divide the width, found {attention_heads} and {width}"
            )
        if tokens < 1:
            raise ValueError(f"expected 1 token or more, found {tokens}")
        refuse_readers(heads, "CrossTaskAttention", "attends between maps of decoders")
        self.encoder, decoders = backbone.build(len(heads))
        self.decoders = nn.ModuleDict(dict(zip(heads, decoders, strict=True)))
        channels = decoders[0].out_channels
        self.attentions = nn.ModuleDict()
        if len(heads) > 1:
            for task in heads:
                self.attentions[task] = CrossAttention(channels, width, attention_heads, tokens)
        self.heads = nn.ModuleDict({task: head(channels) for task, head in heads.items()})

    def forward(self, image: Tensor) -> list[Outputs]:
        """A single refinement for images (B, C, H, W): the output of each task's head."""
        pyramid = self.encoder(image)
        features = {task: decoder(pyramid) for task, decoder in self.decoders.items()}
        attended = dict(features)
        for task, attention in self.attentions.items():
            others = [m for other, m in features.items() if other != task]
            attended[task] = attention(features[task], others)
        return [{task: head(attended[task]) for task, head in self.heads.items()}]


class CrossAttention(nn.Module):
    """Adds to the features of one task, multiplied by a gate, what its queries retrieve from the other tasks.

    Args:
        channels: Channels of the features, C.
        width: Channels of queries, keys and values.
        attention_heads: Number of attention heads.
        tokens: Features are pooled to at most this many positions.
    """

    def __init__(self, channels: int, width: int, attention_heads: int, tokens: int) -> None:
        super().__init__()
        self.attention_heads = attention_heads
        self.tokens = tokens
        self.query = nn.Conv2d(channels, width, 1)
        self.value = nn.Conv2d(channels, width, 1)
        # a bias would add the same to all logits of a query, which the softmax cancels
        self.key = nn.Conv2d(channels, width, 1, bias=False)
        self.output = nn.Conv2d(width, channels, 1)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, own: Tensor, others: Sequence[Tensor]) -> Tensor:
        """The features of the task after attention (B, C, h, w).

        Args:
            own: The features of the task (B, C, h, w).
            others: The features of the other tasks, of the same shape.
        """
        small = pooled(own, self.tokens)
        memory = [pooled(other, self.tokens) for other in others]
        query = self._heads([self.query(small)])
        key = self._heads([self.key(m) for m in memory])
        value = self._heads([self.value(m) for m in memory])
        retrieved = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        output = self.output(retrieved.transpose(1, 2).reshape(own.shape[0], -1, *small.shape[-2:]))
        return own + scaled(self.gate.to(output.dtype) * output, own.shape[-2:])

    def _heads(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, width, h, w) as tokens (B, heads, positions of all maps, width / heads)."""
        # the channels of a token are contiguous in memory, which the fused attention kernels require
        tokens = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], 1)
        return tokens.view(*tokens.shape[:2], self.attention_heads, -1).transpose(1, 2)


def pooled(features: Tensor, tokens: int) -> Tensor:
    """Features (B, C, h, w) averaged over the smallest squares that leave at most this many positions.

    >>> pooled(torch.zeros(1, 8, 30, 40), 100).shape
    torch.Size([1, 8, 8, 10])
    """
    height, width = features.shape[-2:]
    side = next(s for s in count(1) if -(-height // s) * -(-width // s) <= tokens)
    return F.avg_pool2d(features, side, ceil_mode=True)
