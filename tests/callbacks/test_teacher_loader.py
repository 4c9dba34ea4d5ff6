"""A teacher in a run from the command line, and what is said of one that cannot teach."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch.callbacks import EMAWeightAveraging

from fusionseg.callbacks.teacher_loader import TeacherLoader, check_teacher, other_images
from fusionseg.callbacks.training_files import TrainingFiles
from fusionseg.commands import fit
from fusionseg.config.errors import UsageError
from fusionseg.data.augmentation import Augmentation
from fusionseg.data.base import Pixels
from fusionseg.data.copy_paste import CopyPaste
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.teacher import Teacher
from fusionseg.files.state_dicts import WeightsError
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.runs import training_files
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.restore import restored
from fusionseg.runs.trained_model import TrainedModel
from fusionseg.trainer import Trainer

SMALL = Backbone("tu-test_efficientnet", options={"decoder_channels": [16, 16, 8, 8, 8]})
OTHERS = replace(SyntheticScenes.classes, names=("air", *SyntheticScenes.classes.names[1:]))


@pytest.mark.slow
def test_a_run_learns_from_another_that_may_be_gone_when_it_answers(tiny: list[str], tmp_path: Path) -> None:
    run = tmp_path / "teacher"
    one = ["--trainer.max_epochs", "1", "--trainer.limit_val_batches", "1"]
    fit.main([*tiny, *one, "--out", str(run)])
    training_files.write(RunFolder(run).training_files, {"0" * 32: "seen by the teacher"})
    teaching = ["--model.teacher.run", str(run), "--model.teacher.weight", "{semantic: 2.0}"]
    teaching += ["--model.teacher.features", "0.5"]
    fit.main([*tiny, *one, *teaching, "--out", str(tmp_path / "student")])
    student = RunFolder(tmp_path / "student")
    assert "seen by the teacher" in training_files.read(student.training_files).values()
    theirs, _ = restored(RunFolder(run).best, run)
    shutil.rmtree(run)
    model: Any
    model, _ = restored(student.best, student.path)
    assert model.state_dict().keys() == theirs.state_dict().keys()
    model.save_pretrained(tmp_path / "shared")
    assert str(tmp_path) not in (tmp_path / "shared" / "config.json").read_text()


def test_a_second_training_knows_what_its_teacher_was_trained_on(small: Any) -> None:
    student = small(teacher=Teacher("runs/gone"))
    student.distillation.learn_from(small().network, "abc", {"0" * 32: "seen by the teacher"})
    files = TrainingFiles()
    TeacherLoader(files).setup(SimpleNamespace(is_global_zero=True), student, "fit")
    assert files.inherited == {"0" * 32: "seen by the teacher"}


@pytest.mark.slow
def test_weights_are_averaged_of_a_model_that_has_its_adapter(
    small: Any, datamodule: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small().save_pretrained(tmp_path / "teacher")
    student = small(teacher=Teacher(str(tmp_path / "teacher"), features=1.0))
    options: dict[str, Any] = {"max_steps": 2, "limit_val_batches": 1, "enable_progress_bar": False}
    averaging = EMAWeightAveraging(decay=0.5)
    Trainer(default_root_dir=tmp_path / "run", callbacks=averaging, **options).fit(student, datamodule())
    assert student.network.adapter is not None
    assert f"which images {tmp_path / 'teacher'} was trained on is not known" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["other classes", "nothing"])
def test_a_teacher_that_cannot_teach_leaves_no_run(name: str, tiny: list[str], tmp_path: Path) -> None:
    teacher = tmp_path / "teacher"
    if name == "other classes":
        FusionModule(OTHERS, backbone=SMALL).save_pretrained(teacher)
    out = tmp_path / "student"
    expected = {
        "other classes": "^model.teacher.run: expected a teacher of the data's classes, found others in .*: id 0 is",
        "nothing": "^model.teacher.run: expected a run folder, a checkpoint or a saved model, found no .*teacher",
    }
    with pytest.raises((UsageError, WeightsError, OSError), match=expected[name]) as error:
        fit.main([*tiny, "--model.teacher.run", str(teacher), "--out", str(out)])
    assert "\n" not in str(error.value)
    assert not out.exists()


def found(model: Any, **data: Any) -> TrainedModel:
    return TrainedModel(model, Path("best.ckpt"), data, None)


def test_other_classes_matter_only_where_they_are_compared() -> None:
    student, teacher = (
        FusionModule(classes, backbone=SMALL) for classes in (SyntheticScenes.classes, OTHERS)
    )
    with pytest.raises(UsageError, match=r"choose another, or leave semantic out of model.teacher.weight$"):
        check_teacher(student, found(teacher), Teacher("run"))
    check_teacher(student, found(teacher), Teacher("run", {"region": 1.0}))
    check_teacher(student, found(teacher), Teacher("run", 0.0, features=1.0))


def test_a_model_of_another_kind_is_no_teacher() -> None:
    student = FusionModule(SyntheticScenes.classes, backbone=SMALL)
    with pytest.raises(
        UsageError, match=r"model.teacher: expected a FusionModule, found a SimpleNamespace in best"
    ):
        check_teacher(student, found(SimpleNamespace()), Teacher("run"))


def test_images_of_another_size_are_told() -> None:
    data = SimpleNamespace(hparams={"scale": 1.0, "resize": None})
    assert other_images(found(None, scale=1.0, resize=None), data) == ""
    line = other_images(found(None, scale=0.5, resize=320), data)
    assert (
        line
        == "the teacher was trained with data.scale 0.5 instead of 1.0 and data.resize 320 instead of None"
    )


class Negative(Augmentation):
    """Views of negatives, by a call of its own."""

    def __call__(self, *arguments: Any) -> Pixels:
        view = super().__call__(*arguments)
        return view._replace(image=255 - view.image)


def ready(student: FusionModule, data: Any) -> Any:
    trainer: Any = SimpleNamespace(datamodule=data, is_global_zero=True)
    TeacherLoader().setup(trainer, student, "fit")
    return data


def test_own_colors_are_shown_where_the_teacher_is_a_mean_and_nowhere_else(
    small: Any, datamodule: Any, tmp_path: Path
) -> None:
    plain = small()
    plain.save_pretrained(tmp_path / "teacher")
    taught = small(teacher=Teacher(str(tmp_path / "teacher")))
    averaged, by_hand = small(teacher=Teacher()), small(teacher=Teacher())
    by_hand.distillation.learn_from(plain.network)
    first = ready(averaged, datamodule())
    assert first.weak_views
    assert ready(averaged, datamodule()).weak_views
    for other in (plain, taught, taught, by_hand):
        assert not ready(other, first).weak_views
        first.weak_views = True
    with pytest.raises(UsageError, match=r"data.augmentation.changes: .* found CopyPaste"):
        ready(averaged, datamodule(augmentation=partial(Augmentation, changes=[CopyPaste])))


def test_a_call_of_an_augmentation_s_own_makes_the_views_and_is_no_base_of_two(
    small: Any, datamodule: Any
) -> None:
    plain, negative = datamodule().views(), datamodule(augmentation=Negative).views()
    assert (negative[0, 1, 0]["image"] == 255 - plain[0, 1, 0]["image"]).all()
    with pytest.raises(UsageError, match=r"data.augmentation: .* found Negative with a __call__ of its own"):
        ready(small(teacher=Teacher()), datamodule(augmentation=Negative))
