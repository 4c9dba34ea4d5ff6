from collections.abc import Callable

import pytest
import torch

from fusionseg.networks.backbone import Backbone
from fusionseg.networks.levels import parameters_by_level


def names(encoder: str) -> list[set[str]]:
    """The names of the layers of each level."""
    made, _ = Backbone(encoder, decoder="FPN").build()
    known = {id(p): name for name, p in made.body.named_parameters()}
    return [{known[id(p)] for p in level} for level in parameters_by_level(made)]


def test_the_levels_of_a_resnet_are_its_stem_and_its_layers() -> None:
    found = [{name.split(".")[0] for name in level} for level in names("resnet18")]
    assert found == [{"conv1", "bn1"}, {"layer1"}, {"layer2"}, {"layer3"}, {"layer4"}]


@pytest.mark.parametrize("encoder", ["densenet121", "mobilenet_v2", "tu-test_efficientnet", "mit_b0"])
def test_every_trainable_parameter_is_of_one_level(encoder: str) -> None:
    made, _ = Backbone(encoder, decoder="FPN").build()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    modes = [module.training for module in made.modules()]
    levels = parameters_by_level(made)
    found = [id(p) for level in levels for p in level]
    assert sorted(found) == sorted(id(p) for p in made.parameters() if p.requires_grad)
    assert 4 <= len(levels) <= 5
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    assert [module.training for module in made.modules()] == modes
    assert all(p.grad is None for p in made.parameters())


@pytest.mark.parametrize(
    "name", ["vit_small_patch14_reg4_dinov2", "eva02_tiny_patch14_224", "samvit_base_patch16"]
)
def test_the_levels_of_a_transformer_are_its_embedding_its_blocks_and_the_neck(
    name: str, tiny_vit: Callable[..., Backbone]
) -> None:
    made, _ = tiny_vit(name).build()
    known = {id(p): name.split(".") for name, p in made.body.named_parameters()}
    levels = parameters_by_level(made)
    found = [{tuple(known[id(p)][1 : 2 + (known[id(p)][1] == "blocks")]) for p in level} for level in levels]
    assert ("patch_embed",) in found[0]
    assert found[1] == {("blocks", "0")}
    assert found[2] > {("blocks", "1")}
    assert {known[id(p)][0] for p in levels[3]} == {"neck"}
    assert sum(map(len, levels)) == len(list(made.parameters()))
    assert len(levels) == 4
