from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from fusionseg.bench.counts import macs, parameters
from fusionseg.heads import MaskQueryHead
from fusionseg.module import FusionModule
from fusionseg.networks import HardSharing

Small = Callable[..., FusionModule]


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.Conv2d(3, 8, 3, padding=1), (2, 3, 10, 12), 2 * 10 * 12 * 8 * 3 * 9),
        (nn.Conv2d(3, 8, 3, stride=2), (1, 3, 11, 13), 5 * 6 * 8 * 3 * 9),
        (nn.Conv2d(6, 12, 5, groups=3, padding=2), (1, 6, 4, 4), 4 * 4 * 12 * 2 * 25),
        (nn.Conv2d(4, 4, 3, padding=1, groups=4), (1, 4, 6, 6), 6 * 6 * 4 * 9),
        (nn.ConvTranspose2d(3, 8, 2, stride=2), (1, 3, 5, 7), 5 * 7 * 3 * 8 * 4),
        (nn.Linear(7, 5), (3, 7), 3 * 7 * 5),
        (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)), (1, 3, 8, 8), 0),
    ],
)
def test_operations_of_a_layer_are_those_of_its_definition(
    layer: nn.Module, shape: tuple[int, ...], expected: int
) -> None:
    assert macs(layer.eval(), torch.rand(shape)) == expected


def by_hand(model: Any, image: Tensor) -> int:
    """The operations of the convolutions and linear layers that a forward pass calls, as their definitions read."""
    found = 0

    def count(layer: Any, _: object, output: Tensor) -> None:
        nonlocal found
        values = output.numel()
        if isinstance(layer, nn.Linear):
            found += values * layer.in_features
        else:
            height, width = layer.kernel_size
            found += values * height * width * layer.in_channels // layer.groups

    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    model(image)
    for hook in hooks:
        hook.remove()
    return found


def test_operations_of_a_network_are_those_of_its_layers(small: Small) -> None:
    model = small().eval()
    image = torch.rand(2, 3, 64, 96)
    assert macs(model, image) == by_hand(model, image) > 10**6
    assert macs(model, image) == 2 * macs(model, image[:1])


def test_operations_of_resnet18_are_those_that_torchvision_publishes() -> None:
    weights = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    model = torchvision.models.resnet18().eval()
    assert round(macs(model, torch.rand(1, 3, 224, 224)) / 1e9, 3) == weights.meta["_ops"]
    assert sum(parameters(model).values()) == weights.meta["num_params"]


def test_attention_is_counted_in_evaluation_too() -> None:
    length, width = 6, 8
    attention = nn.MultiheadAttention(width, 2, batch_first=True).eval()

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = attention

        def forward(self, tokens: Tensor) -> Any:
            return self.attention(tokens, tokens, tokens, need_weights=False)

    projections = 4 * length * width * width
    products = 2 * length * length * width
    assert torch.backends.mha.get_fastpath_enabled()
    assert macs(Own().eval(), torch.rand(1, length, width)) == projections + products
    assert torch.backends.mha.get_fastpath_enabled()


def test_queries_cost_more_than_the_layers_around_them(small: Small) -> None:
    queries = partial(MaskQueryHead, queries=10)
    model = small(region_head=queries, network=partial(HardSharing, shared_decoder=False)).eval()
    image = torch.rand(1, 3, 64, 64)
    assert macs(model, image) > by_hand(model, image) > 0
    assert all(parameter.requires_grad for parameter in model.network.heads.parameters())


def test_parameters_of_all_parts_are_those_of_the_model(small: Small) -> None:
    model = small()
    parts = parameters(model)
    assert sum(parts.values()) == sum(p.numel() for p in model.parameters())
    assert parts["heads"] == sum(p.numel() for p in model.network.heads.parameters())
    assert list(parts) == ["encoder", "decoders", "heads"]


def test_a_parameter_of_two_parts_counts_once_and_those_of_no_part_are_others() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.ModuleDict({"first": nn.Linear(3, 2), "second": nn.Linear(3, 2)})
            self.network["second"].weight = self.network["first"].weight
            self.scale = nn.Parameter(torch.ones(5))

    assert parameters(Own()) == {"first": 8, "second": 2, "others": 5}
    assert parameters(nn.Linear(3, 2)) == {"others": 8}
