"""Steps under a balancer, held against the same steps done naively, without it, or in another way."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fusionseg import balancing
from fusionseg.balancing import DWA, IMTLL, UW, Balancer, GradientBalancer, GradNorm, Sum, TorchJDWeighting
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.module import FusionModule
from fusionseg.networks import HardSharing
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Sample

Scenes = Callable[..., Sample]
SMALL = Backbone("tu-test_efficientnet", options={"decoder_channels": [16, 16, 8, 8, 8]})
MOBILE = Backbone("tu-mobilenetv3_small_050", options=SMALL.options)
OWN = [getattr(balancing, name) for name in balancing.__all__]
GRADIENT = [
    k for k in OWN if issubclass(k, GradientBalancer) and k not in (GradientBalancer, TorchJDWeighting)
]
LOSS = [k for k in OWN if not issubclass(k, GradientBalancer) and k not in (Balancer, Sum)]
LEVELS = {
    f"{kind.__name__} {level}": partial(kind, level=level)
    for kind in GRADIENT
    for level in ("branch", "parameters")
}
FAST = ("Sum", "UW", "DWA", "FAMO", "MGDA branch", "GradNorm branch", "GradNorm parameters")
SOME_FAST = [
    pytest.param(recipe, id=name, marks=() if name in FAST else pytest.mark.slow)
    for name, recipe in {**LEVELS, **{kind.__name__: kind for kind in (Sum, *LOSS)}}.items()
]


def model(balancer: Any = Sum, **options: Any) -> FusionModule:
    torch.manual_seed(1)
    given: dict[str, Any] = {
        "alpha": 0.7,
        "beta": 1.3,
        "backbone": SMALL,
        "network": partial(HardSharing, shared_decoder=False),
    }
    # in eval mode, or dropout would differ between the two
    return FusionModule(SyntheticScenes.classes, balancer=balancer, **given | options).double().eval()


def remembering(module: FusionModule) -> FusionModule:
    """The module, whose balancer remembers other numbers of each task."""
    chance = torch.Generator().manual_seed(1)
    for value in module.balancer.buffers():
        value.uniform_(0.05, 0.95, generator=chance)
    return module


def gradients(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def step(module: FusionModule, batch: Sample) -> dict[str, Tensor]:
    module.backward(module.training_step(batch, 0))
    return gradients(module)


@pytest.mark.parametrize("balancer", LOSS, ids=lambda b: b.__name__)
def test_losses_are_weighed_by_constants(balancer: type[Balancer], scenes: Scenes) -> None:
    batch, ours, reference = scenes(2, (64, 64)), remembering(model(balancer)), model()
    found, (first, second) = step(ours, batch), ours.balancer.weights.tolist()
    assert min(abs(first - 1), abs(second - 1), abs(first - second)) > 0.05
    (output,), total = reference(batch["image"]), torch.zeros((), dtype=torch.float64)
    for task, factor in (("semantic", first * 0.7), ("region", second * 1.3)):
        head: Any = reference.network.heads[task]
        sums, weights = head.loss(output[task], head.target(batch))
        total = total + factor * (sums / weights).sum()
    total.backward()  # type: ignore[no-untyped-call]
    expected = gradients(reference)
    assert found.keys() == expected.keys()
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("balancer", [Sum, UW, IMTLL, DWA, GradNorm], ids=lambda b: b.__name__)
def test_two_micro_batches_are_one_of_twice_the_size_where_weights_do_not_depend_on_it(
    balancer: type[Balancer], scenes: Scenes
) -> None:
    whole = scenes(4, (64, 64))  # without void, so that both halves weigh the same
    assert (whole["semantic"] != 255).all()
    # a scene's weight is the number of images
    one, two = (remembering(model(balancer, region_head=None, gamma=0.5)) for _ in range(2))
    expected = step(one, whole)
    for number, part in enumerate((slice(0, 2), slice(2, 4))):
        loss = two.training_step({key: value[part] for key, value in whole.items()}, number) / 2
        if not number:
            two.balancer.begin()
        two.backward(loss)
    assert balancer is Sum or (one.balancer.weights - 1).abs().min() > 0.05
    for name, gradient in gradients(two).items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-10, rtol=1e-8)
    if balancer in (UW, IMTLL, DWA):
        one.balancer.stepped(), two.balancer.stepped()
        for value, other in zip(one.balancer.buffers(), two.balancer.buffers(), strict=True):
            torch.testing.assert_close(value, other, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("balancer", SOME_FAST)
# roundings, of 2^-8 and of 2^-11 each, add up from layer to layer: with NashMTL gradients in bf16 deviate by 0.055 (the
# root mean square over 30 seeds), and by 0.12 at the most
@pytest.mark.parametrize(
    ("dtype", "near"), [(torch.bfloat16, 2**-3), (torch.float16, 2**-6)], ids=["bf16", "fp16"]
)
def test_half_precision_learns_and_remembers_the_same_but_for_rounding(
    balancer: Any, dtype: torch.dtype, near: float, scenes: Scenes
) -> None:
    # fp16 convolutions are emulated on many CPUs, so that a larger batch takes long
    batch, seen = scenes(2, (32, 64)), []
    for scale, half in ((1.0, False), (256.0, True)):
        module = remembering(model(balancer, backbone=MOBILE).float())
        for _ in range(2):
            module.zero_grad()
            with torch.autocast("cpu", dtype, enabled=half):
                loss = module.training_step(batch, 0)
            module.backward(loss * scale)
            weights, (losses, _) = module.balancer.weights.float(), module.balancer.seen[-1]
            module.balancer.stepped(None, losses * torch.tensor([0.9, 0.99]))
            module.balancer.epoch_ended()
        learned = torch.cat([gradient.flatten() for gradient in gradients(module).values()]) / scale
        seen.append((weights, learned, list(module.balancer.buffers())))
    (weights, learned, state), (weights_, learned_, state_) = seen
    if getattr(module.balancer, "level", "branch") == "parameters":
        near *= 2  # these inner products nearly cancel, and weights follow them
    assert (learned_ - learned).norm() < near * learned.norm()
    for value, other in zip([weights_, *state_], [weights, *state], strict=True):
        torch.testing.assert_close(value, other, atol=0, rtol=near)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")
@pytest.mark.parametrize("balancer", SOME_FAST)
def test_compiled_parts_have_the_gradients_of_plain_ones(balancer: Any, scenes: Scenes) -> None:
    batch, plain, compiled = scenes(2, (64, 64)), model(balancer), model(balancer)
    compiled.network.compile_parts(backend="aot_eager")
    for module in (plain, compiled):
        if isinstance(module.balancer, GradientBalancer):
            module.balancer.dtype = module.network.branch.dtype = torch.float64  # type: ignore[union-attr]
    expected = step(plain, batch)
    for name, gradient in step(compiled, batch).items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("level", ["branch", "parameters"])
@pytest.mark.parametrize("balancer", GRADIENT, ids=lambda b: b.__name__)
def test_without_labels_of_a_task_the_other_learns_as_if_alone(
    balancer: type[GradientBalancer], level: Any, scenes: Scenes
) -> None:
    batch = scenes(2, (64, 64))
    batch["region"][:] = 0
    ours = model(partial(balancer, level=level))
    before = {name: value.clone() for name, value in ours.balancer.named_buffers()}
    found = step(ours, batch)
    ours.balancer.stepped()
    assert all(torch.equal(value, before[name]) for name, value in ours.balancer.named_buffers())
    for key, gradient in step(model(), batch).items():
        torch.testing.assert_close(found[key], gradient, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("balancer", [*GRADIENT, *LOSS], ids=lambda b: b.__name__)
def test_one_task_alone_is_not_balanced(balancer: type[Balancer], scenes: Scenes) -> None:
    batch = scenes(2, (64, 64))
    found = step(model(balancer, region_head=None), batch)
    plain = step(model(region_head=None), batch)
    assert all(torch.equal(found[key], plain[key]) for key in plain.keys() | found.keys())


@pytest.mark.parametrize("level", ["branch", "parameters"])
@pytest.mark.parametrize("balancer", GRADIENT, ids=lambda b: b.__name__)
def test_without_any_labels_nothing_is_learned(
    balancer: type[GradientBalancer], level: Any, scenes: Scenes
) -> None:
    batch = scenes(1, (32, 32))
    batch["semantic"][:], batch["region"][:] = 255, 0
    found = step(model(partial(balancer, level=level, normalize=True)), batch)
    assert found
    assert not any(gradient.any() for gradient in found.values())  # NaN counts as something


# what has to settle goes on to move by its learning rate
SETTLING: dict[type[Balancer], dict[str, Any]] = {UW: {"lr": 0.05}, IMTLL: {"lr": 0.05}, GradNorm: {}}


def direction(balancer: Balancer, beta: float) -> Tensor:
    """Where the shared gradient of two tasks points after 200 steps, in which both losses fall."""
    rows = torch.randn(2, 7, generator=torch.Generator().manual_seed(3)).double()
    losses, factors = torch.tensor([1.3, 0.6]), torch.tensor([1.0, beta])
    rows, weights = rows * factors[:, None], torch.ones(2)
    for number in range(1, 201):
        torch.default_generator.manual_seed(number)  # in a hundredth of the time of `torch.manual_seed`
        scaled = losses * factors * 0.995**number
        balancer(scaled, torch.tensor([True, True]))
        balancer.begin()
        if isinstance(balancer, GradientBalancer):
            balancer.weigh(rows @ rows.T)
        weights = balancer.weights.double()
        balancer.stepped(None, scaled * torch.tensor([0.99, 0.999]))
        if number % 20 == 0:
            balancer.epoch_ended()
    return nn.functional.normalize(weights @ rows, dim=0)


@pytest.mark.parametrize("kind", [Sum, *LOSS, *GRADIENT], ids=lambda k: k.__name__)
def test_a_balancer_says_whether_the_direction_depends_on_factors_of_the_losses(kind: type[Balancer]) -> None:
    one, four = (direction(kind(2, **SETTLING.get(kind, {})), beta) for beta in (1.0, 4.0))
    apart = (one - four).norm()
    assert apart < (0.02 if kind in SETTLING else 1e-5) if kind.absorbs else apart > 0.05
