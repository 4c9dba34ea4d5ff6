from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fusionseg.heads import BoundaryHead, SemanticHead
from fusionseg.networks import PADNet
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe
from fusionseg.networks.pad_net import Distillation

HEADS: dict[str, HeadRecipe] = {"semantic": partial(SemanticHead, num_classes=5), "region": BoundaryHead}
IMAGE = torch.rand(2, 3, 64, 96)


@pytest.mark.parametrize("tasks", [["a"], ["a", "b"], ["a", "b", "c"]])
def test_features_are_distilled_as_in_the_paper(tasks: list[str]) -> None:
    distillation = Distillation(tasks, 4)
    gates: Any = distillation.gates
    messages: Any = distillation.messages
    features = {task: torch.randn(2, 4, 5, 7) for task in tasks}
    distilled = distillation(features)
    assert list(distilled) == tasks
    for k in tasks:
        expected = features[k].clone()
        for t in tasks:
            if t == k:
                continue
            gate, message = gates[t], messages[t]
            attention = 1 / (1 + (-F.conv2d(features[t], gate.weight, gate.bias, padding=1)).exp())
            expected += attention * F.conv2d(features[t], message.weight, message.bias, padding=1)
        torch.testing.assert_close(distilled[k], expected)


def test_the_first_guess_is_a_task_s_own_and_the_second_knows_of_the_others() -> None:
    network = PADNet(HEADS, Backbone(decoder="FPN")).eval()
    first, second = network(IMAGE)
    with torch.no_grad():
        for parameter in network.features["region"].parameters():
            parameter.add_(0.1)
    first_then, second_then = network(IMAGE)
    assert torch.equal(first["semantic"], first_then["semantic"])
    assert not torch.equal(second["semantic"], second_then["semantic"])
    assert not torch.equal(first["region"], first_then["region"])


def test_a_recipe_is_called_for_each_guess_and_the_heads_are_those_of_the_second() -> None:
    network = PADNet(HEADS, Backbone(decoder="FPN")).eval()
    _, second = network(IMAGE)
    first: Any = network.first
    for task in HEADS:
        assert type(first[task]) is type(network.heads[task])
        ours = {id(p) for p in network.heads[task].parameters()}
        assert ours.isdisjoint(id(p) for p in first[task].parameters())
        nn.init.zeros_(first[task].layers[1].weight)
        nn.init.zeros_(first[task].layers[1].bias)
        guess, answer = network(IMAGE)
        assert not guess[task].any()
        assert torch.equal(answer[task], second[task])


def test_the_width_of_a_task_s_features_can_be_chosen() -> None:
    heads: Any = PADNet(HEADS, Backbone(), width=24).heads
    assert heads["region"].layers[1].in_channels == 24
    with pytest.raises(ValueError, match="expected a width of 1 or more, found 0"):
        PADNet(HEADS, Backbone(), width=0)
