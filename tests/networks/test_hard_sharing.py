from functools import partial

import pytest
import torch

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
