from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor

from fusionseg.heads import BoundaryHead, SemanticHead
from fusionseg.networks import CrossStitch
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe
from fusionseg.networks.cross_stitch import FAMILIES, Stitch

HEADS: dict[str, HeadRecipe] = {"semantic": partial(SemanticHead, num_classes=5), "region": BoundaryHead}
IMAGE = torch.rand(3, 3, 64, 96)


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_mixed_features_are_sums_over_tasks_weighted_for_each_channel(tasks: int, width: int) -> None:
    stitch = Stitch(tasks, width, 0.9)
    torch.nn.init.normal_(stitch.mixture)
    maps = [torch.randn(2, 4, 3, 5) for _ in range(tasks)]
    mixture = stitch.mixture.expand(tasks, tasks, 4)
    for i, mixed in enumerate(stitch(maps)):
        for channel in range(4):
            slow = sum(mixture[i, j, channel] * maps[j][:, channel] for j in range(tasks))
            torch.testing.assert_close(mixed[:, channel], slow)


def test_two_tasks_start_as_in_the_paper_and_weights_of_any_number_sum_to_one() -> None:
    torch.testing.assert_close(Stitch(2, 1, 0.9).mixture[..., 0], torch.tensor([[0.9, 0.1], [0.1, 0.9]]))
    torch.testing.assert_close(
        Stitch(3, 7, 0.8).mixture[..., 6], torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    )
    assert Stitch(1, 1, 0.9).mixture.item() == 1


@pytest.mark.parametrize(
    ("backbone", "model"),
    [
        (Backbone("resnet18"), partial(smp.Unet, "resnet18")),
        (Backbone("mobilenet_v2", decoder="DeepLabV3Plus"), partial(smp.DeepLabV3Plus, "mobilenet_v2")),
        (Backbone("efficientnet-b0", decoder="FPN"), partial(smp.FPN, "efficientnet-b0")),
        pytest.param(
            Backbone("densenet121", decoder="UPerNet"),
            partial(smp.UPerNet, "densenet121"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["resnet18", "mobilenet_v2", "efficientnet-b0", "densenet121"],
)
def test_without_mixing_it_is_two_models_of_smp(
    backbone: Backbone, model: Callable[..., smp.base.SegmentationModel]
) -> None:
    network = CrossStitch(HEADS, backbone, own=1).double().eval()
    parts: Any = network
    (outputs,) = network(IMAGE.double())
    for task, classes in (("semantic", 5), ("region", 1)):
        theirs = model(encoder_weights=None, classes=classes).double().eval()
        theirs.encoder.load_state_dict(parts.encoder.body.bodies[task].state_dict())
        theirs.decoder.load_state_dict(parts.decoders[task].body.state_dict())
        theirs.segmentation_head = parts.heads[task].layers
        expected = theirs((IMAGE.double() - network.encoder.mean) / network.encoder.std)
        torch.testing.assert_close(outputs[task], expected)


def test_what_is_mixed_goes_on_into_the_next_stage() -> None:
    network = CrossStitch(HEADS, Backbone("resnet18", decoder="FPN"), own=0.75).double().eval()
    pyramids = network.encoder(IMAGE.double())
    body: Any = network.encoder.body
    one, other = body.bodies.values()
    layers: list[Callable[[Any, Tensor], Tensor]] = [
        lambda body, x: body.relu(body.bn1(body.conv1(x))),
        lambda body, x: body.layer1(body.maxpool(x)),
        lambda body, x: body.layer2(x),
        lambda body, x: body.layer3(x),
        lambda body, x: body.layer4(x),
    ]
    a = b = (IMAGE.double() - network.encoder.mean) / network.encoder.std
    assert torch.equal(pyramids[0], a)
    assert torch.equal(pyramids[6], b)
    for level, layer in enumerate(layers, 1):
        a, b = layer(one, a), layer(other, b)
        a, b = 0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b
        torch.testing.assert_close(pyramids[level], a)
        torch.testing.assert_close(pyramids[6 + level], b)


def test_tasks_start_from_different_encoders() -> None:
    body: Any = CrossStitch(HEADS, Backbone("resnet18", decoder="FPN")).encoder.body
    one, other = body.bodies.values()
    assert not torch.equal(one.conv1.weight, other.conv1.weight)


def test_an_encoder_that_cannot_be_cut_is_refused_with_those_that_can() -> None:
    with pytest.raises(
        ValueError, match=r"cannot cut 'mit_b0' into stages; it works with: resnet, .*tu-resnet18"
    ) as e:
        CrossStitch(HEADS, Backbone("mit_b0"))
    assert "\n" not in str(e.value)


def test_every_encoder_of_smp_is_named_or_cannot_be_cut() -> None:
    other = [name for name in smp.encoders.get_encoder_names() if not name.startswith(FAMILIES)]
    assert {name.split("_")[0].rstrip("0123456789b") for name in other} == {"dpn", "mit"}


def test_a_share_outside_of_0_and_1_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected own, .* in \[0, 1\], found 1.5"):
        CrossStitch(HEADS, Backbone(), own=1.5)


@pytest.mark.slow
def test_compiled_it_gives_the_same_from_one_graph() -> None:
    network = CrossStitch(HEADS, Backbone("mobilenet_v2", decoder="FPN")).eval()
    expected = network(IMAGE)[0]["semantic"]
    network.encoder.compile(backend="eager", fullgraph=True)
    torch.testing.assert_close(network(IMAGE)[0]["semantic"], expected)
