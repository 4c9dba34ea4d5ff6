"""The memory format of networks; times of both are printed by `benchmarks.step`."""

from functools import partial

import pytest
import torch
from torch import Tensor

from fusionseg.heads import BoundaryHead, SemanticHead
from fusionseg.networks import CrossStitch, HardSharing
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe

HEADS: dict[str, HeadRecipe] = {"semantic": partial(SemanticHead, num_classes=5), "region": BoundaryHead}
IMAGE = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LAST, FIRST = torch.channels_last, torch.contiguous_format


def kernels(network: torch.nn.Module) -> list[Tensor]:
    """Weights that differ between the two formats."""
    return [p for p in network.parameters() if p.ndim == 4 and min(p.shape) > 1]


@pytest.mark.parametrize(
    ("encoder", "device", "precision", "chosen", "expected"),
    [
        ("resnet18", "cpu", "32-true", None, FIRST),
        ("resnet18", "cpu", "bf16-mixed", None, LAST),
        ("resnet18", "cpu", "16-true", None, LAST),
        ("resnet18", "cuda", "32-true", None, LAST),
        ("mobilenet_v2", "cpu", "32-true", None, LAST),
        # torch writes beyond the memory of this one's gradients in the other format
        ("mobileone_s0", "cuda", "bf16-mixed", None, FIRST),
        ("resnet18", "cpu", "32-true", True, LAST),
        ("mobilenet_v2", "cuda", "bf16-mixed", False, FIRST),
        ("mobileone_s0", "cpu", "32-true", True, FIRST),
    ],
)
def test_weights_and_images_have_the_format_of_the_device_and_precision_or_the_chosen_one(
    encoder: str, device: str, precision: str, chosen: bool | None, expected: torch.memory_format
) -> None:
    network = HardSharing(HEADS, Backbone(encoder, decoder="FPN", channels_last=chosen))
    network.arrange("cuda", "16-mixed")
    network.arrange(device, precision)
    seen: list[Tensor] = []
    network.encoder.body.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))  # type: ignore[union-attr, operator]
    network(IMAGE)
    assert network.layout == expected
    assert len(kernels(network)) > 5
    assert all(tensor.is_contiguous(memory_format=expected) for tensor in [*kernels(network), *seen])


def test_encoders_side_by_side_have_the_chosen_format() -> None:
    network = CrossStitch(HEADS, Backbone("resnet18", decoder="FPN", channels_last=True))
    network.arrange("cpu", "32-true")
    assert network.layout == LAST


def test_the_format_changes_nothing_but_rounding() -> None:
    network = HardSharing(HEADS, Backbone("resnet18")).double().eval()
    outputs = []
    for precision in ("32-true", "bf16-mixed"):
        network.arrange("cpu", precision)
        outputs.append(network(IMAGE)[-1])
    for task in HEADS:
        torch.testing.assert_close(outputs[0][task], outputs[1][task])
