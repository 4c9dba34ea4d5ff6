from collections.abc import Callable
from typing import Any

import pytest

from fusionseg.networks.backbone import Backbone

TINY = {"embed_dim": 32, "depth": 2, "num_heads": 2, "pyramid_channels": 16}
SAM = {"global_attn_indexes": (1,), "neck_chans": 24}


@pytest.fixture
def tiny_vit() -> Callable[..., Backbone]:
    """A backbone of a transformer of timm's by its name, with two narrow blocks."""

    def backbone(name: str, weights: str | None = None, **options: Any) -> Backbone:
        arguments: dict[str, Any] = {"decoder": "FPN", "in_channels": 3}
        arguments |= {key: options.pop(key) for key in arguments if key in options}
        special = SAM if name.startswith("samvit") else {}
        return Backbone(f"tu-{name}", weights, options={**TINY, **special, **options}, **arguments)

    return backbone
