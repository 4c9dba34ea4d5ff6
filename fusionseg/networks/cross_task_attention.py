"""Attention between tasks."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionseg.heads.base import scaled
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe, Network


class CrossTaskAttention(Network):
    """One encoder for all tasks, a decoder for each, and each task's features attend to those of all others.

    This is the correlation-guided attention of arXiv:2206.08927 made light: at one scale, that of the decoders, with
    several attention heads on pooled features, without its self-attention, and with a learned gate that starts at 0,
    where the network is hard sharing with a decoder for each task.

    Args:
        heads: The recipe of each task's head.
        backbone: What encoder and decoders to build.
        width: Channels of queries, keys and values.
        attention_heads: Number of attention heads, a divisor of the width.
        tokens: Features are pooled to at most so many positions.

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
        self.encoder, decoders = backbone.build(len(heads))
        self.decoders = nn.ModuleDict(dict(zip(heads, decoders, strict=True)))
        channels = decoders[0].out_channels
        attending = heads if len(heads) > 1 else ()
        self.attentions = nn.ModuleDict(
            {task: CrossAttention(channels, width, attention_heads, tokens) for task in attending}
        )
        self.heads = nn.ModuleDict({task: head(channels) for task, head in heads.items()})

    def forward(self, image: Tensor) -> list[dict[str, Any]]:
        """A single guess, which is the final answer."""
        features = self.encoder(image)
        maps = {task: decoder(features) for task, decoder in self.decoders.items()}
        seen = maps | {
            task: attention(maps[task], [m for other, m in maps.items() if other != task])
            for task, attention in self.attentions.items()
        }
        return [{task: head(seen[task]) for task, head in self.heads.items()}]


class CrossAttention(nn.Module):
    """Features of one task and, times a gate, what their queries find in the keys and values of the others.

    Args:
        channels: Channels of the features.
        width: Channels of queries, keys and values.
        attention_heads: Number of attention heads.
        tokens: Features are pooled to at most so many positions.
    """

    def __init__(self, channels: int, width: int, attention_heads: int, tokens: int) -> None:
        super().__init__()
        self.attention_heads, self.tokens = attention_heads, tokens
        self.query, self.value = nn.Conv2d(channels, width, 1), nn.Conv2d(channels, width, 1)
        self.key = nn.Conv2d(channels, width, 1, bias=False)  # a softmax does not see what all keys share
        self.output = nn.Conv2d(width, channels, 1)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, own: Tensor, others: Sequence[Tensor]) -> Tensor:
        """The task's features (B, C, h, w) after a look at those of the others, which have the same shape."""
        small, memory = pooled(own, self.tokens), [pooled(other, self.tokens) for other in others]
        query = self._heads([self.query(small)])
        key, value = self._heads([self.key(m) for m in memory]), self._heads([self.value(m) for m in memory])
        found = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        answer = self.output(found.transpose(1, 2).reshape(len(own), -1, *small.shape[-2:]))
        return own + scaled(self.gate.to(answer.dtype) * answer, own.shape[-2:])

    def _heads(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, width, h, w) as tokens (B, heads, all positions, width / heads)."""
        # a token's numbers lie side by side, or torch's fast attention refuses them
        tokens = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], 1)
        return tokens.view(*tokens.shape[:2], self.attention_heads, -1).transpose(1, 2)


def pooled(features: Tensor, tokens: int) -> Tensor:
    """Features (B, C, h, w) averaged over the smallest squares that leave at most so many positions."""
    height, width = features.shape[-2:]
    side = next(s for s in count(1) if -(-height // s) * -(-width // s) <= tokens)
    return F.avg_pool2d(features, side, ceil_mode=True)
