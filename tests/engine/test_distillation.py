"""What a network learns of a teacher's, in the steps that a training takes."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import lightning.pytorch as pl
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import Tensor, nn
from torch.optim import SGD

from fusionseg.balancing import FAMO, MGDA, UW, CAGrad
from fusionseg.config.errors import UsageError
from fusionseg.config.lightning_messages import quiet
from fusionseg.engine.teacher import Teacher
from fusionseg.heads import CenterOffsetHead, EmbeddingHead
from fusionseg.module import FusionModule
from fusionseg.networks import CrossStitch, HardSharing
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Sample

Data = Callable[..., Any]
Plan = Callable[..., pl.Trainer]
Small = Callable[..., FusionModule]
Scenes = Callable[..., Sample]

OTHER = Backbone("tu-test_resnet", options={"decoder_channels": [16, 16, 8, 8, 8]})


@pytest.fixture
def taught(small: Small) -> Callable[..., FusionModule]:
    """A student of a teacher with another encoder and a narrower decoder."""

    def model(teacher: FusionModule | None = None, **options: Any) -> FusionModule:
        asked = Teacher("runs/teacher", **options.pop("teaching", {}))
        made = small(teacher=asked, **options)
        made.distillation.learn_from((teacher or small(backbone=OTHER)).network, "abc")
        return made

    return model


def of_hand(
    student: FusionModule, teacher: FusionModule, batch: Sample, temperature: float
) -> dict[str, Tensor]:
    """The mean divergence of each task's outputs, from their definition."""
    (own,), (theirs,) = student(batch["image"]), teacher(batch["image"])
    found = {}
    for task in own:
        z = own[task] / temperature
        v = F.interpolate(theirs[task], own[task].shape[-2:], mode="bilinear") / temperature
        if task == "semantic":
            p, q = v.softmax(1), z.softmax(1)
            divergence = (p * (p / q).log()).sum(1).mean()
        else:
            p, q = v.sigmoid(), z.sigmoid()
            divergence = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()
        found[task] = temperature**2 * divergence
    return found


@pytest.mark.parametrize("weight", [0.7, {"semantic": 0.3}, {"semantic": 0.2, "region": 2.0}])
def test_the_loss_of_a_task_has_the_distance_to_the_teacher_s_output(
    weight: Any, taught: Callable[..., FusionModule], small: Small, scenes: Scenes
) -> None:
    batch, teacher = scenes(2, (64, 64)), small(backbone=OTHER).eval()
    options: dict[str, Any] = {"alpha": 0.5, "beta": 2.0}
    student = taught(teacher, teaching={"weight": weight, "temperature": 3.0}, **options).eval()
    plain = small(**options).eval()
    plain.load_state_dict(student.state_dict())
    student.training_step(batch, 0)
    plain.training_step(batch, 0)
    distances = of_hand(student, teacher, batch, 3.0)
    for i, task in enumerate(student.tasks):
        factor = weight.get(task, 0.0) if isinstance(weight, dict) else weight
        difference = student.current_step.losses[i] - plain.current_step.losses[i]
        torch.testing.assert_close(difference, factor * distances[task].detach(), rtol=1e-3, atol=1e-5)
    weighted = (student.current_step.losses * torch.tensor([0.5, 2.0])).sum()
    torch.testing.assert_close(student.current_step.loss.detach(), weighted)


def test_the_distance_of_shared_maps_is_the_mean_square_behind_the_adapter(
    taught: Callable[..., FusionModule], small: Small, scenes: Scenes
) -> None:
    batch, teacher = scenes(2, (64, 64)), small(backbone=OTHER).eval()
    student = taught(teacher, teaching={"weight": 0.0, "features": 0.3}).eval()
    plain = small().eval()
    plain.load_state_dict(student.state_dict())
    maps = [
        network.decoders["shared"](network.encoder(batch["image"]))
        for network in (student.network, teacher.network)
    ]
    adapter = student.network.adapter
    assert adapter.weight.shape == (8, 32, 1, 1)  # type: ignore[union-attr]
    expected = (
        (F.interpolate(maps[1], maps[0].shape[-2:], mode="bilinear") - adapter(maps[0])).square().mean()
    )  # type: ignore[operator]
    difference = student.training_step(batch, 0) - plain.training_step(batch, 0)
    torch.testing.assert_close(difference, 0.3 * expected, rtol=1e-4, atol=1e-6)
    assert student.current_step.penalty is not None
    torch.testing.assert_close(student.current_step.penalty, 0.3 * expected)


@pytest.mark.parametrize(("weight", "compared"), [(0.0, False), ({"semantic": 1.0}, True)])
def test_behind_the_shared_map_a_teacher_computes_only_what_is_compared(
    weight: Any, compared: bool, taught: Callable[..., FusionModule], small: Small, scenes: Scenes
) -> None:
    teacher = small(network=partial(HardSharing, shared_decoder=False))
    student = taught(teacher, teaching={"weight": weight, "features": 0.3})
    calls: list[nn.Module] = []
    for part in [*teacher.network.decoders.values(), *teacher.network.heads.values()]:
        part.register_forward_hook(lambda module, *_: calls.append(module))
    student.training_step(scenes(2, (64, 64)), 0)
    assert bool(calls) == compared
    assert student.current_step.penalty is not None
    assert student.current_step.penalty > 0


def test_a_copy_of_a_student_learns_from_the_same_teacher_by_itself(
    taught: Callable[..., FusionModule], scenes: Scenes
) -> None:
    batch, student = scenes(2, (64, 64)), taught(teaching={"features": 0.3}).eval()
    copied = copy.deepcopy(student)
    assert copied.distillation.taught is student.distillation.taught
    assert copied.distillation.network is copied.network
    assert copied.distillation.maps.adapter is copied.network.adapter is not student.network.adapter
    first, second = gradients(student, batch), gradients(copied, batch)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def gradients(model: FusionModule, batch: Sample) -> dict[str, Tensor]:
    model.zero_grad()
    loss = model.training_step(batch, 0)
    model.balancer.begin()
    model.backward(loss)
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("balancer", [UW, partial(MGDA, level="branch"), partial(CAGrad, level="parameters")])
def test_balancers_weigh_outputs_with_their_task_and_maps_not_at_all(
    balancer: Any, taught: Callable[..., FusionModule], small: Small, scenes: Scenes
) -> None:
    """A distance of maps adds its own gradient to that of the balanced tasks."""
    batch, teacher = scenes(2, (64, 64)), small(backbone=OTHER).eval()
    outputs = taught(teacher, balancer=balancer).eval()
    both = taught(teacher, balancer=balancer, teaching={"features": 0.3}).eval()
    both.load_state_dict(outputs.state_dict())
    first, second = gradients(outputs, batch), gradients(both, batch)
    both.zero_grad()
    both.training_step(batch, 0)
    penalty = both.current_step.penalty
    assert penalty is not None
    penalty.backward()  # type: ignore[no-untyped-call]
    for name, parameter in both.named_parameters():
        if parameter.requires_grad and not name.startswith("balancer"):
            alone = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            before = first.get(name, torch.zeros_like(parameter))
            torch.testing.assert_close(second.get(name, before), before + alone, rtol=1e-3, atol=1e-5)
    assert first.keys() < second.keys()


@pytest.mark.parametrize("balancer", [FAMO, partial(CAGrad, level="parameters")])
def test_training_leaves_the_teacher_as_it_was_and_out_of_all_that_is_kept(
    balancer: Any, taught: Callable[..., FusionModule], small: Small, datamodule: Data, plan: Plan
) -> None:
    teacher = small(backbone=OTHER).train()
    before = copy.deepcopy(teacher.state_dict())
    student = taught(
        teacher,
        balancer=balancer,
        optimizer=partial(SGD, lr=0.1),
        schedule=None,
        teaching={"features": 1.0},
    )
    adapter = student.network.adapter.weight.clone()  # type: ignore[operator, union-attr]
    calls: list[object] = []
    teacher.network.register_forward_hook(lambda *_: calls.append(None))
    trainer = plan(max_epochs=1)
    with quiet():
        trainer.fit(student, datamodule=datamodule())
    assert len(calls) == trainer.global_step
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert not teacher.network.training
    plain = small(balancer=balancer)
    assert student.state_dict().keys() == plain.state_dict().keys()
    known = {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}
    assert not known & {id(p) for p in teacher.parameters()}
    assert not {id(p) for p in student.parameters()} & {id(p) for p in teacher.parameters()}
    assert id(student.network.adapter.weight) in known  # type: ignore[union-attr]
    assert not torch.equal(student.network.adapter.weight, adapter)  # type: ignore[union-attr, arg-type]
    plain.load_state_dict(student.state_dict())
    student.load_state_dict(plain.state_dict())


def test_the_validation_loss_is_that_of_the_labels(
    taught: Callable[..., FusionModule], small: Small, datamodule: Data, plan: Plan
) -> None:
    student, plain = taught(), small()
    plain.load_state_dict(student.state_dict())
    with quiet():
        losses = [
            plan().validate(m, datamodule=datamodule(), verbose=False)[0]["val/loss"]
            for m in (student, plain)
        ]
    assert losses[0] == losses[1]


def test_images_without_labels_are_learned_from_the_teacher(
    taught: Callable[..., FusionModule], scenes: Scenes
) -> None:
    batch = scenes(2, (64, 64))
    batch["semantic"][:] = 255
    batch["region"][:] = 0
    student = taught().eval()
    found = gradients(student, batch)
    assert found["network.heads.semantic.layers.1.weight"].abs().sum() > 0


def test_a_step_with_a_teacher_never_waits_for_the_device(
    taught: Callable[..., FusionModule], scenes: Scenes
) -> None:
    model, batch = taught(teaching={"features": 1.0}), scenes(2, (64, 64))

    def waiting(*_: Any, **__: Any) -> Any:
        raise AssertionError("the host waits for the device")

    readers = ("item", "tolist", "cpu", "numpy", "nonzero", "__bool__", "__float__", "__int__", "__index__")
    model.training_step(batch, 0)
    with patch.multiple(Tensor, **dict.fromkeys(readers, waiting)), patch("torch.tensor", waiting):  # type: ignore[call-overload]
        model.training_step(batch, 0)


def test_averaged_weights_are_taught_too(
    taught: Callable[..., FusionModule], datamodule: Data, plan: Plan
) -> None:
    student = taught(teaching={"features": 1.0})
    with quiet():
        plan(callbacks=[EMAWeightAveraging(decay=0.5)]).fit(student, datamodule=datamodule())
    assert student.current_step.position == (0, 1)
    assert student.current_step.total.isfinite()


def test_a_teacher_s_outputs_are_compared_in_full_precision_under_bf16(
    taught: Callable[..., FusionModule], datamodule: Data, plan: Plan
) -> None:
    student = taught(teaching={"features": 1.0, "temperature": 4.0})
    with quiet():
        plan(precision="bf16-mixed", max_steps=2, limit_val_batches=0).fit(student, datamodule=datamodule())
    step = student.current_step
    assert step.losses.dtype == torch.float32
    assert step.total.isfinite()
    assert all(p.dtype == torch.float32 for p in student.parameters())


def test_a_teacher_that_nobody_loaded_is_missed(small: Small, datamodule: Data, plan: Plan) -> None:
    with (
        quiet(),
        pytest.raises(UsageError, match=r"model.teacher: runs/none was not loaded: train with fusionseg"),
    ):
        plan().fit(small(teacher=Teacher("runs/none")), datamodule=datamodule())


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = {
    "no task in common": (
        {"region_head": None},
        {"semantic_head": None},
        {},
        "task of this model .semantic., found region",
    ),
    "a task that the teacher lacks": (
        {},
        {"region_head": None},
        {"weight": {"region": 1.0}},
        "runs/teacher has no task region",
    ),
    "a task that the student lacks": (
        {"region_head": None},
        {},
        {"weight": {"region": 1.0}},
        "this model has no task region",
    ),
    "another kind of head": (
        {},
        {"region_head": CenterOffsetHead},
        {},
        "expected a BoundaryHead for region .* CenterOffsetHead",
    ),
    "outputs without order": (
        {"region_head": EmbeddingHead},
        {"region_head": EmbeddingHead},
        {},
        r"outputs of a EmbeddingHead cannot be compared .* as in \{semantic: 1.0\}",
    ),
    "other channels": (
        {},
        {"backbone": Backbone("tu-test_resnet", in_channels=4)},
        {},
        "images of 3 channels, found 4",
    ),
    "no shared map": (
        {"network": CrossStitch},
        {},
        {"features": 1.0},
        "model.teacher.features: .* in CrossStitch",
    ),
}


@pytest.mark.parametrize(("own", "theirs", "teaching", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_compared_is_refused_in_a_line(
    own: dict[str, Any], theirs: dict[str, Any], teaching: dict[str, Any], message: str, small: Small
) -> None:
    student = small(teacher=Teacher("runs/teacher", **teaching), **own)
    with pytest.raises(UsageError, match=message) as error:
        student.distillation.learn_from(small(**theirs).network)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, "weight of 0 or more, found -1.0"),
        ({"weight": {"semantic": float("nan")}}, "semantic of 0 or more, found nan"),
        ({"temperature": 0.0}, "a temperature above 0, found 0.0"),
        ({"features": float("inf")}, "features of 0 or more"),
        ({"weight": 0.0}, "weight and features are 0"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Teacher("run", **options)


def test_one_decoder_for_each_task_shares_the_deepest_map(
    taught: Callable[..., FusionModule], scenes: Scenes
) -> None:
    student = taught(network=partial(HardSharing, shared_decoder=False), teaching={"features": 1.0}).eval()
    student.training_step(scenes(2, (64, 64)), 0)
    assert student.current_step.penalty is not None
    assert student.current_step.penalty > 0
