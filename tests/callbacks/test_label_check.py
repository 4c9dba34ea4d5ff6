from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fusionseg.callbacks.label_check import LabelCheck, fault, warnings
from fusionseg.classification import ClassificationModule
from fusionseg.commands import fit
from fusionseg.data.components import REGION
from fusionseg.data.label_statistics import LabelStatistics
from fusionseg.engine.teacher import Teacher
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Classes

CLASSES = Classes(("ground", "water", "cell"), ((0, 0, 0), (0, 0, 9), (9, 0, 0)))
BOTH = {"semantic": "semantic", "region": "region"}


def statistics(
    classes: list[int], void: int = 0, region: int = 50, images: int = 8, total: int = 8
) -> LabelStatistics:
    """Statistics of classes' pixels, void pixels, and pixels with a region."""
    labelled = {"semantic": sum(classes), "region": region}
    return LabelStatistics(np.array(classes), labelled, sum(classes) + void, images, total)


def test_a_task_without_a_labelled_pixel_is_a_fault() -> None:
    found = fault(statistics([0, 0, 0], void=100), BOTH, CLASSES)
    assert found.startswith(
        "expected semantic labels to train semantic on, found no labelled pixel in 8 training"
    )
    assert "0 ground, 1 water, 2 cell, and 255 is void" in found
    assert found.endswith("set model.alpha to 0")
    found = fault(statistics([50, 50, 0], region=0), BOTH, CLASSES)
    assert "region labels to train region on" in found
    assert found.endswith("set model.beta to 0")
    sparse = statistics([50, 50, 0])
    sparse.labelled["depth"] = 0
    found = fault(sparse, {"depth": "depth"}, CLASSES)
    assert found.endswith("set model.extra_heads.depth.weight to 0")
    assert fault(statistics([0, 0, 0], void=100), {"region": "region"}, CLASSES) == ""


def test_the_first_class_and_void_alone_are_a_fault() -> None:
    found = fault(statistics([40, 0, 0], void=60), BOTH, CLASSES)
    assert found.startswith(
        "expected pixels of several classes, found only ground (id 0) and void in 8 training"
    )
    assert "where 255 stands for a class, write the class's id in its place" in found
    assert "`void: 254`" in found
    assert "only ground" in fault(statistics([40, 0, 0], void=60), {"scene": "semantic"}, CLASSES)


@pytest.mark.parametrize(
    "found",
    [
        statistics([100, 0, 0]),
        statistics([0, 40, 0], void=60),
        statistics([40, 1, 0], void=60),
    ],
)
def test_other_unequal_labels_are_none(found: LabelStatistics) -> None:
    assert fault(found, BOTH, CLASSES) == ""


def test_void_beside_the_only_class_is_no_fault() -> None:
    one = Classes(("cell",), ((9, 0, 0),))
    assert fault(statistics([40], void=60), BOTH, one) == ""


def test_regions_that_come_from_the_classes_are_looked_at_as_these_are() -> None:
    labels = statistics([50, 0, 0], void=50)
    assert not fault(labels, {"region": "region"}, CLASSES)
    derived = replace(CLASSES, region=REGION)
    assert "found only ground (id 0) and void" in fault(labels, {"region": "region"}, derived)


def test_classes_without_a_pixel_are_named() -> None:
    found = statistics([50, 0, 0])
    assert warnings(found, BOTH, CLASSES) == ["no pixel of water, cell in any of the 8 training images"]
    found = statistics([50, 0, 50], images=256, total=1000)
    assert warnings(found, BOTH, CLASSES) == ["no pixel of water in 256 of 1000 training images"]
    assert warnings(found, {"region": "region"}, CLASSES) == []
    many = Classes(tuple(f"c{i}" for i in range(15)), ((0, 0, 0),) * 15)
    (line,) = warnings(statistics([50] + [0] * 14), BOTH, many)
    assert "c1, c2, c3, c4, c5, c6, c7, c8, c9, c10 and 4 more in" in line


@pytest.mark.parametrize(("void", "lines"), [(95, 0), (96, 1)])
def test_more_than_95_percent_of_void_are_warned_of(void: int, lines: int) -> None:
    rest = (100 - void) / 100
    found = statistics([int(1000 * rest) - 2, 1, 1], void=10 * void, region=1000)
    text = f"{void}.0 % of the pixels of 8 training images have no semantic label"
    assert warnings(found, BOTH, CLASSES) == [text] * lines
    regions = statistics([500, 300, 200], region=int(1000 * rest))
    assert warnings(regions, BOTH, CLASSES) == [text.replace("semantic", "region")] * lines


class Recorded:
    """Data that give one statistics after the other, until they are enough."""

    def __init__(self, *samples: LabelStatistics) -> None:
        self.samples = samples
        self.asked = 0

    def label_statistics(self, enough: Callable[[LabelStatistics], bool]) -> LabelStatistics:
        for sample in self.samples:
            self.asked += 1
            if enough(sample):
                break
        return sample


def checked(model: FusionModule, data: object, **options: Any) -> LabelCheck:
    check = LabelCheck()
    trainer: Any = SimpleNamespace(datamodule=data, ckpt_path=None, is_global_zero=True)
    trainer.__dict__.update(options)
    check.on_fit_start(trainer, model)
    check.on_train_start(trainer, model)
    return check


def wide(number: int) -> list[int]:
    """Pixels of the six classes of the scenes, of which so many occur."""
    return [10] * number + [0] * (6 - number)


def test_more_is_read_until_nothing_seems_to_be_missing(
    small: Callable[..., FusionModule], capsys: pytest.CaptureFixture[str]
) -> None:
    data = Recorded(*(statistics(wide(n), images=32 * n, total=999) for n in (4, 5, 6, 6)))
    assert checked(small(), data).warnings == []
    assert data.asked == 3
    data = Recorded(*(statistics(wide(4), images=n, total=999) for n in (32, 256, 512)))
    checked(small(), data)
    assert data.asked == 2
    assert capsys.readouterr().err == "no pixel of triangle, star in 256 of 999 training images\n"


def test_a_fault_is_one_only_after_all_was_read(small: Callable[..., FusionModule]) -> None:
    rare = statistics([0] * 6, void=100, images=512, total=999)
    data = Recorded(rare, rare, statistics(wide(6), images=544, total=999))
    checked(small(), data)
    assert data.asked == 3
    with pytest.raises(ValueError, match="no labelled pixel in 512 training images"):
        checked(small(), Recorded(rare, rare))


def test_a_task_of_weight_0_needs_no_labels(small: Callable[..., FusionModule]) -> None:
    checked(small(beta=0.0), Recorded(statistics(wide(6), region=0)))


def test_a_task_that_another_model_teaches_needs_no_labels_and_one_of_a_mean_does(
    small: Callable[..., FusionModule],
) -> None:
    unlabelled = statistics(wide(6), region=0)
    student = small()
    student.distillation.weights = {"region": 1.0}
    checked(student, Recorded(unlabelled))
    mean = small(teacher=Teacher(weight=1.0))
    mean.distillation.learn_from_mean()
    with pytest.raises(ValueError, match="expected region labels"):
        checked(mean, Recorded(unlabelled))


def test_a_classifier_needs_labels_of_pixels_unless_images_have_some_as_a_whole() -> None:
    void = Recorded(statistics([0] * 3, void=100))
    backbone = Backbone("small_cnn")
    with pytest.raises(ValueError, match="expected semantic labels to train scene on, found no labelled"):
        checked(ClassificationModule(CLASSES, backbone=backbone), void)
    assert not checked(
        ClassificationModule(replace(CLASSES, per_image="any"), backbone=backbone), void
    ).warnings


def test_a_run_that_goes_on_and_other_data_are_not_looked_at(small: Callable[..., FusionModule]) -> None:
    data = Recorded(statistics([0] * 6))
    checked(small(), data, ckpt_path="last.ckpt")
    checked(small(), object())
    assert data.asked == 0


def written(root: Path, semantic: dict[str, list[list[int]]]) -> Path:
    """A folder of two classes, with blocks of 32 pixels."""
    for part in ("images", "semantic"):
        (root / part).mkdir(parents=True)
    for name, ids in semantic.items():
        blocks = np.kron(np.array(ids, np.uint8), np.ones((32, 32), np.uint8))
        Image.fromarray(blocks).save(root / "semantic" / f"{name}.png")
        Image.fromarray(np.dstack([blocks] * 3)).save(root / "images" / f"{name}.png")
    (root / "classes.yaml").write_text("classes: [{name: ground}, {name: cell, thing: true}]")
    (root / "train.txt").write_text("\n".join(name for name in semantic if name != "last"))
    (root / "val.txt").write_text("last")
    return root


def words(tiny: list[str], root: Path) -> list[str]:
    own = ["--data.dataset", "Folder", "--data.dataset.root", str(root), "--data.batch_size", "2"]
    return [*tiny[6:], *own, "--trainer.max_epochs", "1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[0, 255], [0, 0]], r"found only ground \(id 0\) and void in 2 training images"),
        ([[255, 255], [255, 255]], "found no labelled pixel in 2 training images"),
    ],
)
def test_masks_of_0_and_255_do_not_train(
    ids: list[list[int]], message: str, tiny: list[str], tmp_path: Path
) -> None:
    root = written(tmp_path / "data", dict.fromkeys(("a", "b", "last"), ids))
    run = tmp_path / "run"
    with pytest.raises(ValueError, match=message):
        fit.main([*words(tiny, root), "--out", str(run)])
    assert not run.exists()


@pytest.mark.slow
def test_a_score_of_one_class_says_so(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = {"a": [[0, 1], [0, 0]], "b": [[0, 1], [1, 0]], "last": [[0, 0], [0, 0]]}
    fit.main([*words(tiny, written(tmp_path / "data", ids)), "--out", str(tmp_path / "run")])
    said = capsys.readouterr().err
    assert "val: miou is measured on one class only: the labels show ground and no other" in said
    assert "no pixel of" not in said
    assert torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)["epoch"] == 0
