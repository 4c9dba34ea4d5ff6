from functools import partial

import pytest
import torch

from fusionseg.config.errors import UsageError
from fusionseg.heads import BoundaryHead, SemanticHead
from fusionseg.networks import HardSharing
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe

HEADS: dict[str, HeadRecipe] = {"semantic": partial(SemanticHead, num_classes=5), "region": BoundaryHead}
IMAGE = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)


@pytest.mark.parametrize(("shared", "decoders"), [(True, ["shared"]), (False, ["semantic", "region"])])
def test_there_is_one_decoder_for_all_tasks_or_one_for_each(shared: bool, decoders: list[str]) -> None:
    network = HardSharing(HEADS, Backbone(decoder="FPN"), shared_decoder=shared)
    assert list(network.decoders) == decoders
    (outputs,) = network(IMAGE)
    assert {task: output.shape for task, output in outputs.items()} == {
        "semantic": (2, 5, 16, 24),
        "region": (2, 1, 16, 24),
    }


@pytest.mark.parametrize("shared", [True, False])
def test_a_task_reaches_the_shared_parts_and_its_own_alone(shared: bool) -> None:
    network = HardSharing(HEADS, Backbone(decoder="FPN"), shared_decoder=shared)
    network(IMAGE)[0]["region"].sum().backward()
    reached = {name for name, p in network.named_parameters() if p.grad is not None}
    own = ("decoders.region.", "decoders.shared.", "heads.region.", "encoder.")
    assert reached == {name for name, _ in network.named_parameters() if name.startswith(own)}


def test_a_single_head_makes_a_single_task_network() -> None:
    network = HardSharing({"region": BoundaryHead}, Backbone(decoder="FPN"), shared_decoder=False)
    assert list(network(IMAGE)[0]) == ["region"]
    assert list(network.decoders) == ["region"]


def test_decoders_of_two_tasks_start_from_different_weights() -> None:
    network = HardSharing(HEADS, Backbone(decoder="FPN"), shared_decoder=False)
    pairs = zip(
        network.decoders["semantic"].parameters(), network.decoders["region"].parameters(), strict=True
    )
    assert any(not torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("shared", [True, False])
def test_each_task_has_a_layer_of_its_own_where_channels_are_given(shared: bool) -> None:
    network = HardSharing(HEADS, Backbone(decoder="FPN"), shared_decoder=shared, task_channels=24)
    assert [head.layers[1].in_channels for head in network.heads.values()] == [24, 24]
    seen = {}
    for task, layer in network.task_layers.items():
        layer.register_forward_hook(lambda _, given, made, task=task: seen.update({task: (given[0], made)}))
    (outputs,) = network(IMAGE)
    for task, (given, made) in seen.items():
        convolution, normalization, _ = network.task_layers[task]
        kernel = convolution.weight[:, :, 0, 0]
        expected = normalization(torch.einsum("oi,bihw->bohw", kernel, given)).clamp_min(0)
        torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(outputs[task], network.heads[task](made))
    outputs["region"].sum().backward()
    assert all(p.grad is None for p in network.task_layers["semantic"].parameters())
    assert all(p.grad is not None for p in network.task_layers["region"].parameters())


def test_a_negative_number_of_channels_is_refused() -> None:
    with pytest.raises(UsageError, match="expected 0 or more, found -1"):
        HardSharing(HEADS, Backbone(decoder="FPN"), task_channels=-1)
