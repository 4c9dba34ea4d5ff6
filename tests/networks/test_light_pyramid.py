"""A light decoder against a plain computation."""

import pytest
import torch
import torch.nn.functional as F

from fusionseg.config.errors import UsageError
from fusionseg.networks.light_pyramid import LightPyramid

CHANNELS = [3, 4, 6, 8, 10, 12]


def pyramid() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, c, 64 >> i, 96 >> i) for i, c in enumerate(CHANNELS)]


def test_without_a_transformer_it_is_linear_in_enlarged_levels() -> None:
    decoder = LightPyramid(CHANNELS, 5).eval()
    levels = pyramid()
    enlarged = [F.interpolate(level, (8, 12), mode="bilinear") for level in levels[3:]]
    weights = [(layer.weight[:, :, 0, 0], layer.bias) for layer in decoder.projections]
    pairs = zip(weights, enlarged, strict=True)
    total = sum(torch.einsum("oc,bchw->bohw", w, level) + b[:, None, None] for (w, b), level in pairs)
    expected = F.relu(total / (1 + decoder.norm.eps) ** 0.5)
    torch.testing.assert_close(decoder(levels), expected)


def test_the_transformer_relates_places_of_the_coarsest_level() -> None:
    levels = pyramid()
    moved = [*levels[:-1], levels[-1].clone()]
    moved[-1][..., 0, 0] += 1
    changed = {}
    for layers in (0, 1):
        torch.manual_seed(0)
        decoder = LightPyramid(CHANNELS, 32, layers).eval()
        assert decoder(levels).shape == (2, 32, 8, 12)
        changed[layers] = (decoder(levels) != decoder(moved))[..., -1, -1].any()
    assert changed == {0: False, 1: True}


@pytest.mark.parametrize("options", [{"width": 0}, {"layers": -1}, {"width": 40, "layers": 1}])
def test_numbers_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"^model.backbone.options: expected a width above 0"):
        LightPyramid(CHANNELS, **options)
    with pytest.raises(
        UsageError, match=r"^model.backbone.encoder: expected a pyramid that goes to stride 8"
    ):
        LightPyramid(CHANNELS[:3])
