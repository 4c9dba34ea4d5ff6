"""The contract of all networks, however their tasks share parameters."""

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from fusionseg import networks
from fusionseg.balancing.branch import Branch
from fusionseg.engine.optimization import parameter_groups
from fusionseg.heads import BoundaryHead, DepthHead, NormalsHead, SemanticHead
from fusionseg.networks import MTAN, CrossStitch, CrossTaskAttention, HardSharing, Network, PADNet
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe
from fusionseg.networks.encoder import Encoder

Recipe = Callable[..., Network]
EXAMPLES: dict[str, tuple[Recipe, int]] = {
    "one decoder": (HardSharing, 1),
    "decoders": (partial(HardSharing, shared_decoder=False), 1),
    "layers": (partial(HardSharing, task_channels=16), 1),
    "MTAN": (MTAN, 1),
    "cross-stitch": (CrossStitch, 1),
    "PAD-Net": (PADNet, 2),
    "attention": (CrossTaskAttention, 1),
}
HEADS: dict[str, HeadRecipe] = {
    "semantic": partial(SemanticHead, num_classes=5),
    "region": BoundaryHead,
    "depth": DepthHead,
    "normals": NormalsHead,
}
CHANNELS = {"semantic": 5, "region": 1, "depth": 1, "normals": 3}
SMALL = Backbone(
    "tu-test_efficientnet",
    decoder="FPN",
    options={"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32},
)
BACKBONES = {
    "Unet": Backbone("tu-test_resnet"),
    "DeepLabV3Plus": Backbone("tu-test_efficientnet", decoder="DeepLabV3Plus"),
    "FPN": Backbone("tu-test_efficientnet", decoder="FPN"),
    "PSPNet": Backbone("efficientnet-b0", decoder="PSPNet"),  # of whose encoder much is not used
    "from stride 4": Backbone("tu-test_convnext", decoder="Unet"),
}
# each network with two backbones, in turn, so that each backbone has several networks
PAIRS = {
    f"{network}, {backbone}": (EXAMPLES[network][0], BACKBONES[backbone])
    for turn, network in enumerate(EXAMPLES)
    for backbone in (list(BACKBONES)[(turn + step) % len(BACKBONES)] for step in (0, 3))
}
IMAGE = torch.randint(0, 256, (3, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

every_network = pytest.mark.parametrize(
    "recipe", [recipe for recipe, _ in EXAMPLES.values()], ids=EXAMPLES.keys()
)


def heads(tasks: int) -> dict[str, HeadRecipe]:
    return dict(list(HEADS.items())[:tasks])


def summed(outputs: dict[str, Any]) -> Tensor:
    return torch.stack([output.float().square().mean() for output in outputs.values()]).sum()


def test_every_network_is_held_to_the_contract() -> None:
    public = [value for value in vars(networks).values() if inspect.isclass(value)]
    ours = {value for value in public if issubclass(value, Network) and value is not Network}
    known = {k for k in Network.__subclasses__() if k.__module__.startswith("fusionseg.")}
    assert (
        {recipe.func if isinstance(recipe, partial) else recipe for recipe, _ in EXAMPLES.values()}
        == ours
        == known
    )


@pytest.mark.parametrize("tasks", [1, 2, 3, 4])
@pytest.mark.parametrize(("recipe", "refinements"), EXAMPLES.values(), ids=EXAMPLES.keys())
def test_each_refinement_has_an_output_of_each_task_and_the_parts_have_their_names(
    recipe: Recipe, refinements: int, tasks: int
) -> None:
    network = recipe(heads(tasks), SMALL)
    found = network(IMAGE)
    assert len(found) == refinements
    for outputs in found:
        assert list(outputs) == list(network.heads) == list(heads(tasks))
        assert all(output.shape == (3, CHANNELS[task], 16, 24) for task, output in outputs.items())
    assert isinstance(network.encoder, Encoder)
    assert set(network.decoders) in ({"shared"}, set(network.heads))


def test_pairs_have_all_networks_and_backbones() -> None:
    assert {id(recipe) for recipe, _ in PAIRS.values()} == {id(recipe) for recipe, _ in EXAMPLES.values()}
    assert {id(backbone) for _, backbone in PAIRS.values()} == {id(one) for one in BACKBONES.values()}
    # much of PSPNet's encoder is not used, whatever the network's branching point
    branches = {recipe for recipe, backbone in PAIRS.values() if backbone is BACKBONES["PSPNet"]}
    assert len(branches) >= 3


@pytest.mark.parametrize(("recipe", "backbone"), PAIRS.values(), ids=PAIRS.keys())
def test_the_losses_of_all_tasks_reach_all_that_is_trained(recipe: Recipe, backbone: Backbone) -> None:
    network = recipe(heads(2), backbone)
    torch.stack([summed(outputs) for outputs in network(IMAGE)]).sum().backward()  # type: ignore[no-untyped-call]
    trained = {name: p.grad for name, p in network.named_parameters() if p.requires_grad}
    assert [name for name, gradient in trained.items() if gradient is None] == []
    assert len(trained) > 50


@pytest.mark.parametrize("tasks", [1, 3, 4])
@every_network
def test_so_do_those_of_any_number_of_tasks(recipe: Recipe, tasks: int) -> None:
    network = recipe(heads(tasks), SMALL)
    torch.stack([summed(outputs) for outputs in network(IMAGE)]).sum().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)


@every_network
def test_a_network_has_a_branching_point_unless_its_tasks_mix(recipe: Recipe) -> None:
    network = recipe(heads(4), SMALL)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)  # a gate at 0 lets nothing through
    for task in HEADS:
        network.zero_grad()
        network(IMAGE)[-1][task].sum().backward()
        reached = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
        others = [name for name in reached if any(f".{other}." in name for other in HEADS if other != task)]
        assert bool(others) == (network.branch is None)


@every_network
def test_the_state_alone_rebuilds_a_network(recipe: Recipe) -> None:
    one, other = recipe(heads(2), SMALL).eval(), recipe(heads(2), SMALL).eval()
    other.load_state_dict(one.state_dict())
    with torch.no_grad():
        for a, b, c in zip(one(IMAGE), other(IMAGE), copy.deepcopy(one)(IMAGE), strict=True):
            for task in one.heads:
                assert torch.equal(a[task], b[task])
                assert torch.equal(a[task], c[task])


@every_network
def test_a_copy_has_weights_of_its_own(recipe: Recipe) -> None:
    network = recipe(heads(2), SMALL).eval()
    with torch.no_grad():
        before = summed(network(IMAGE)[-1])
        for parameter in copy.deepcopy(network).parameters():
            parameter.zero_()
        assert torch.equal(summed(network(IMAGE)[-1]), before)


@every_network
def test_a_frozen_encoder_keeps_all_that_it_has_and_gets_zero_gradients(recipe: Recipe) -> None:
    network = recipe(heads(2), SMALL)
    network.freeze_encoder(True)
    before = {name: value.clone() for name, value in network.encoder.state_dict().items()}
    torch.stack([summed(outputs) for outputs in network(IMAGE)]).sum().backward()  # type: ignore[no-untyped-call]
    assert all(
        p.grad is not None and not p.grad.any() for p in network.encoder.parameters() if p.requires_grad
    )
    assert all(torch.equal(value, before[name]) for name, value in network.encoder.state_dict().items())
    own = {id(p) for p in network.encoder.parameters()}
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad and id(p) not in own)


@every_network
def test_gradients_of_a_frozen_encoder_alone_can_be_dropped(recipe: Recipe) -> None:
    network = recipe(heads(2), SMALL)
    encoder = {id(p) for p in network.encoder.parameters()}
    for frozen in (True, False):
        network.freeze_encoder(frozen)
        torch.stack([summed(outputs) for outputs in network(IMAGE)]).sum().backward()  # type: ignore[no-untyped-call]
        network.drop_frozen_gradients()
        for parameter in network.parameters():
            dropped = frozen and id(parameter) in encoder
            assert (parameter.grad is None) == (dropped or not parameter.requires_grad)


@every_network
def test_batch_statistics_are_kept_on_demand(recipe: Recipe) -> None:
    network = recipe(heads(2), SMALL).train()
    before = {name: value.clone() for name, value in network.named_buffers()}
    with network.kept_buffers():
        network(IMAGE)
        moved = [name for name, value in network.named_buffers() if not torch.equal(value, before[name])]
    assert any(name.endswith("running_mean") for name in moved)
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())


@every_network
def test_what_is_recorded_of_the_backbone_is_as_it_was_chosen(recipe: Recipe) -> None:
    late = recipe is EXAMPLES["one decoder"][0]  # which resnet18 cannot have
    chosen = {"mean": [0.25, 0.5, 0.75], "std": [0.5, 1.0, 2.0], "late_dilation": late}
    network = recipe(heads(1), Backbone("resnet50" if late else "resnet18", decoder="FPN", **chosen))  # type: ignore[arg-type]
    assert network.recorded() == {"weights": None, **chosen}


@every_network
def test_each_parameter_has_one_learning_rate(recipe: Recipe) -> None:
    network = recipe(heads(2), SMALL)
    encoder, rest = (group["params"] for group in parameter_groups(network, network.encoder))
    trained = [p for p in network.parameters() if p.requires_grad]
    assert sorted(map(id, encoder + rest)) == sorted(map(id, trained))
    assert {id(p) for p in rest}.isdisjoint(id(p) for p in network.encoder.parameters())


@every_network
def test_a_forward_pass_does_not_wait_for_the_device(recipe: Recipe) -> None:
    # a tensor on the meta device has no values: reading one fails
    outputs = recipe(heads(2), SMALL).to("meta")(IMAGE.to("meta"))[-1]
    assert all(output.is_meta for output in outputs.values())


@every_network
def test_in_half_precision_nothing_is_promoted_and_memory_stays_channels_last(recipe: Recipe) -> None:
    network = recipe(heads(2), Backbone("tu-test_resnet"))
    network.arrange("cpu", "bf16-mixed")
    seen: list[Tensor] = []
    for module in [*network.decoders.values(), *network.heads.values()]:
        module.register_forward_pre_hook(
            lambda _, inputs: seen.extend(inputs[0][2:] if isinstance(inputs[0], list) else inputs)
        )
    with torch.autocast("cpu", torch.bfloat16):
        network(IMAGE)
    assert {m.dtype for m in seen} == {torch.bfloat16}
    assert all(m.is_contiguous(memory_format=torch.channels_last) for m in seen)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")
@every_network
def test_all_but_the_branching_point_can_be_compiled(recipe: Recipe) -> None:
    network = recipe(heads(2), SMALL).double()
    compiled = copy.deepcopy(network)
    held = {id(p) for part in compiled.parts for p in part.parameters()}
    assert all(id(p) in held for p in compiled.parameters())
    assert not any(isinstance(part, (Branch, torch.nn.ModuleDict)) for part in compiled.parts)
    for part in compiled.parts:
        part.compile(backend="aot_eager", fullgraph=True)  # as `compile_parts`, but without breaks in a graph
    for each in (network, compiled):
        torch.manual_seed(0)  # of dropout
        torch.stack([summed(outputs) for outputs in each(IMAGE)]).sum().backward()  # type: ignore[no-untyped-call]
    for one, other in zip(network.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, atol=1e-12, rtol=1e-6)
