"""A teacher that is the running mean of its student, through steps, interruptions and copies."""

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch.optim import SGD

from fusionseg.config.errors import UsageError
from fusionseg.data.augmentation import Augmentation
from fusionseg.data.copy_paste import CopyPaste
from fusionseg.data.frozen_features import FrozenFeatures
from fusionseg.data.random_corruption import RandomCorruption
from fusionseg.data.random_erasing import RandomErasing
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.data.unlabelled_mixture import Unlabelled
from fusionseg.engine.mean_teacher import MeanTeacher
from fusionseg.engine.teacher import Teacher
from fusionseg.heads import EmbeddingHead
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Sample
from fusionseg.trainer import Trainer

Small = Callable[..., FusionModule]
Scenes = Callable[..., Sample]
MOVING = partial(RandomCorruption, corruptions=["geometric"])
QUIET: dict[str, Any] = {"limit_val_batches": 1, "enable_progress_bar": False, "max_epochs": 2}


def test_the_mean_is_that_of_its_definition(small: Small) -> None:
    student = small().network
    mean = MeanTeacher(student, decay=0.75)
    mean.begin(student)
    mean.start(0)
    expected = {name: value.clone() for name, value in student.state_dict().items()}
    for step in range(1, 7):
        with torch.no_grad():
            for value in (*student.parameters(), *student.buffers()):
                value.add_(1 if not value.is_floating_point() else torch.randn_like(value))
        mean.follow(step)
        mean.follow(step)  # a second batch of the same step changes nothing
        decay = min(0.75, 1 - 1 / (step + 1))
        for name, value in student.state_dict().items():
            old = expected[name]
            expected[name] = decay * old + (1 - decay) * value if value.is_floating_point() else value.clone()
    for name, value in mean.network.state_dict().items():
        torch.testing.assert_close(value, expected[name])
    assert not any(p.requires_grad for p in mean.network.parameters())
    assert not any(part.training for part in mean.network.modules())


def test_a_student_learns_of_the_mean_s_view_in_its_own_colors(small: Small, scenes: Scenes) -> None:
    batch = scenes(2, (64, 64))
    batch["weak"] = batch["image"].flip(0)
    student = small(teacher=Teacher(weight={"semantic": 0.5}, ramp_up=4)).eval()
    student.distillation.learn_from_mean()
    plain = small().eval()
    plain.load_state_dict(student.state_dict())
    plain.training_step(batch, 0)
    logits = student(batch["image"])[-1]["semantic"]
    theirs = student(batch["weak"])[-1]["semantic"]
    p, q = theirs.softmax(1), logits.softmax(1)
    distance = (p * (p / q).log()).sum(1).mean().detach()
    for step, rise in ((0, torch.tensor(-5.0).exp()), (2, torch.tensor(-1.25).exp()), (9, 1.0)):
        student.distillation.mean.step = step  # type: ignore[union-attr]
        student.distillation.advance(step)
        student.objective.step(student(batch["image"]), batch, (0, 0))
        difference = student.current_step.losses - plain.current_step.losses
        torch.testing.assert_close(difference[0], 0.5 * rise * distance, rtol=1e-3, atol=1e-6)
        assert difference[1] == 0


def fit(model: FusionModule, data: Any, folder: Path, **options: Any) -> Trainer:
    torch.manual_seed(1)  # of the adapter
    resumed = {"ckpt_path": options.pop("ckpt_path")} if "ckpt_path" in options else {}
    trainer = Trainer(default_root_dir=folder, **{**QUIET, **options})
    trainer.fit(model, datamodule=data, **resumed)
    return trainer


@pytest.mark.slow
@pytest.mark.parametrize("ended", [1, 3])
def test_an_interrupted_run_goes_on_with_the_same_bits(
    ended: int, small: Small, datamodule: Any, tmp_path: Path
) -> None:
    def model() -> FusionModule:
        torch.manual_seed(0)
        return small(teacher=Teacher(features=0.1, ramp_up=3), optimizer=partial(SGD, lr=0.1), schedule=None)

    def data() -> Any:
        scenes = partial(SyntheticScenes, length=9, size=(72, 100))
        return datamodule(dataset=scenes, fraction=0.5, unlabelled=Unlabelled())

    whole, part, resumed = model(), model(), model()
    fit(whole, data(), tmp_path / "whole", max_steps=4)
    fit(part, data(), tmp_path / "part", max_steps=ended)
    last = tmp_path / "part" / "checkpoints" / "last.ckpt"
    fit(resumed, data(), tmp_path / "part", max_steps=4, ckpt_path=last)
    for found in (resumed.state_dict(), resumed.distillation.mean.network.state_dict()):  # type: ignore[union-attr]
        mean = whole.distillation.mean
        assert mean is not None
        expected = (
            whole.state_dict() if found.keys() == whole.state_dict().keys() else mean.network.state_dict()
        )
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in found)
    assert not torch.equal(
        next(whole.network.parameters()),
        next(whole.distillation.mean.network.parameters()),  # type: ignore[union-attr]
    )


class BeginsWith(Callback):
    """Compares the mean after the first step with the student before it."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.start = {name: value.clone() for name, value in pl_module.network.state_dict().items()}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        for name, value in pl_module.distillation.mean.network.state_dict().items():
            assert torch.equal(self.start[name], value), name


@pytest.mark.slow
def test_it_begins_with_statistics_that_were_re_estimated(
    small: Small, datamodule: Any, tmp_path: Path
) -> None:
    backbone = Backbone("tu-test_resnet", decoder="FPN")
    student = small(teacher=Teacher(), batch_norm="reestimated", backbone=backbone)
    fit(student, datamodule(), tmp_path / "run", max_steps=1, callbacks=[BeginsWith()])
    assert not any((norm.running_var == 1).all() for norm in student.network.encoder_norms())


def test_a_checkpoint_of_another_teacher_is_refused(small: Small) -> None:
    plain, averaged, by_hand = small(), small(teacher=Teacher()), small(teacher=Teacher("nowhere"))
    averaged.distillation.learn_from_mean()
    by_hand.distillation.learn_from(plain.network)
    states = [each.distillation.state() for each in (plain, by_hand, averaged)]
    for state in ({}, *states[:2]):
        with pytest.raises(
            UsageError, match=r"expected its running mean as the run began, found another tea"
        ):
            averaged.distillation.resume(state)
    with pytest.raises(UsageError, match=r"expected nowhere as the run began, found the running mean"):
        by_hand.distillation.resume(states[2])
    by_hand.distillation.resume(states[1])
    averaged.distillation.resume(states[2])


def test_a_copy_of_the_student_has_the_same_teacher(small: Small) -> None:
    student = small(teacher=Teacher())
    student.distillation.learn_from_mean()
    assert copy.deepcopy(student).distillation.mean is student.distillation.mean


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = {
    "coarse weights": (
        {},
        {},
        {"precision": "bf16-true"},
        "trainer.precision: a running mean of weights in bfloat16 stands still",
    ),
    "things of other images": (
        {},
        {"augmentation": partial(Augmentation, changes=[CopyPaste])},
        {},
        "data.augmentation.changes: expected changes that leave each pixel where it is, .* found CopyPaste",
    ),
    "moved pixels": (
        {},
        {"augmentation": partial(Augmentation, changes=[RandomErasing, MOVING])},
        {},
        "found RandomCorruption$",
    ),
    "features": ({}, {"features": FrozenFeatures()}, {}, "data.features: expected no features for a mean"),
    "outputs without order": (
        {"region_head": EmbeddingHead},
        {},
        {},
        r"model.teacher.weight: outputs of a EmbeddingHead cannot be compared",
    ),
}


def test_images_without_labels_want_a_teacher(small: Small, datamodule: Any, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"data.unlabelled: images without labels teach nothing without a tea"
    ):
        fit(small(), datamodule(fraction=0.5, unlabelled=Unlabelled()), tmp_path / "run")


@pytest.mark.parametrize(("own", "data", "plan", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_a_mean_cannot_teach_is_said_in_a_line(
    own: dict[str, Any],
    data: dict[str, Any],
    plan: dict[str, Any],
    message: str,
    small: Small,
    datamodule: Any,
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match=message) as error:
        fit(small(teacher=Teacher(), **own), datamodule(**data), tmp_path / "run", **plan)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()
