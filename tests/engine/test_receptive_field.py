import re
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from fusionseg.engine.passes import Passes
from fusionseg.engine.receptive_field import reach, tile_notice
from fusionseg.heads import EmbeddingHead, SemanticHead


class Convolutions(nn.Module):
    """Layers of a known reach: 2 + 2 * 1 + 4 * 1 pixels, and what lies in the same four."""

    device = torch.device("cpu")
    heads: ClassVar[dict[str, Any]] = {"semantic": SemanticHead(4, 5)}
    hparams: ClassVar[dict[str, Any]] = {"backbone": {"in_channels": 5}}

    def __init__(self, average: bool = False) -> None:
        super().__init__()
        layers = [nn.Conv2d(5, 4, 5, stride=2, padding=2), nn.Conv2d(4, 4, 3, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(4, 5, 3, padding=1))
        self.average = average

    def forward(self, image: Tensor) -> list[dict[str, Tensor]]:
        output = self.layers(image)
        return [{"semantic": output + output.mean((2, 3), keepdim=True) if self.average else output}]


def test_the_reach_is_that_of_the_layers() -> None:
    # row n of the output sees rows 4 n - 8 to 4 n + 8
    assert reach(Convolutions(), 5, 128) == 8
    assert reach(Convolutions(average=True), 5, 128) == 64


def test_the_modules_mode_is_kept(small: Callable[..., Any]) -> None:
    module = small()
    assert reach(module, 3, 64) > 0
    assert module.training
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize(
    ("average", "passes", "expected"),
    [
        (False, Passes(), ""),
        (False, Passes(tile=128, overlap=32), ""),
        (False, Passes(tile=128, overlap=0), "sees 8 pixels in each direction.*--overlap is 32 or more"),
        (True, Passes(tile=100, overlap=32), "farther than a tile of 128 pixels"),
    ],
)
def test_tiles_that_change_answers_are_named(average: bool, passes: Passes, expected: str) -> None:
    notice = tile_notice(Convolutions(average), passes)
    assert bool(notice) == bool(expected)
    assert re.search(expected, notice)
    assert "with the same --tile measures them" not in tile_notice(
        Convolutions(average), passes, windows=True
    )


def test_of_heads_that_see_the_whole_image_nothing_is_said() -> None:
    module = Convolutions()
    module.heads = {"region": EmbeddingHead(4)}  # type: ignore[misc]
    assert tile_notice(module, Passes(tile=128, overlap=0)) == ""
