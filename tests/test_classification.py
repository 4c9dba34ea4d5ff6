from collections.abc import Callable
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import torch

from fusionseg import ClassificationDataModule, ClassificationModule, FusionModule, Trainer
from fusionseg.config.lightning_messages import quiet
from fusionseg.data import ClassFolders, ClassTable, SyntheticScenes
from fusionseg.heads import ClassifierHead, SceneHead
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.pretrained import load_whole
from fusionseg.sample import Classes

GRAY = Backbone("small_cnn", in_channels=1)
Writer = Callable[..., Path]


def images(dataset: Any, **options: Any) -> ClassificationDataModule:
    fixed: dict[str, Any] = {"batch_size": 6, "resize": None, "crop_size": (32, 32), "workers": 0, "seed": 0}
    return ClassificationDataModule(dataset, **fixed | options)


@pytest.mark.slow
def test_it_learns_classes_of_gray_images_and_keeps_the_first_of_equal_scores_by_the_lowest_loss(
    class_folders: Writer, tmp_path: Path
) -> None:
    data = images(partial(ClassFolders, root=class_folders(), channels=1), augmentation=None)
    model = ClassificationModule(data.classes, partial(ClassifierHead, hidden=16), backbone=GRAY)
    trainer = Trainer(default_root_dir=tmp_path / "run", max_epochs=8, enable_progress_bar=False)
    trainer.fit(model, data)
    figures = trainer.record.best["metrics"]
    assert figures["val/scene_accuracy"] == figures["val/scene_top5"] == figures["val/score"] == 1
    lines = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    header = lines[0].split(",")
    rows = [dict(zip(header, line.split(","), strict=True)) for line in lines[1:]]
    tied = [float(row["val/loss"]) for row in rows if row["val/score"] and float(row["val/score"]) == 1]
    assert len(tied) > 1
    assert figures["val/loss"] == pytest.approx(min(tied))


@pytest.mark.parametrize("per_image", ["one", "any", None])
def test_the_data_say_whether_an_image_shows_exactly_one_class(per_image: Any) -> None:
    classes = Classes(("a", "b"), ((0, 0, 0), (1, 1, 1)), per_image=per_image)
    module = ClassificationModule(classes, backbone=Backbone("small_cnn"))
    assert isinstance(module.heads["scene"], ClassifierHead)
    assert module.heads["scene"].single is (per_image == "one")
    own = ClassificationModule(classes, partial(ClassifierHead, single=False), backbone=Backbone("small_cnn"))
    assert own.heads["scene"].single is False  # type: ignore[comparison-overlap]


def test_more_classes_than_a_label_map_has_are_possible() -> None:
    names = tuple(map(str, range(1000)))
    classes = Classes(names, ((0, 0, 0),) * 1000, per_image="one")
    assert len(ClassificationModule(classes, backbone=Backbone("small_cnn")).classes) == 1000
    with pytest.raises(ValueError, match="1 to 255 classes, found 1000"):
        Classes(names, ((0, 0, 0),) * 1000)


@pytest.mark.slow
def test_its_arguments_alone_are_recorded_and_rebuild_it(
    class_folders: Writer, plan: Any, tmp_path: Path
) -> None:
    data = images(partial(ClassFolders, root=class_folders(), channels=1))
    head = partial(ClassifierHead, hidden=8, label_smoothing=0.1)
    model = ClassificationModule(data.classes, head, backbone=GRAY)
    trainer = plan()
    with quiet():
        trainer.fit(model, data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert {"classes", "head", "backbone"} < model.hparams.keys()
    assert not {"alpha", "semantic_head", "gamma"} & model.hparams.keys()
    assert data.hparams["crop_size"] == [32, 32]
    assert "scale" not in data.hparams
    again = ClassificationModule.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    assert again.classes == data.classes
    image = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)
    (expected,), (found,) = model.eval()(image), again.eval()(image)
    torch.testing.assert_close(found["scene"], expected["scene"])


def test_it_has_all_arguments_that_are_of_no_other_task() -> None:
    of_tasks = {"alpha", "beta", "gamma", "semantic_head", "region_head", "scene_head", "extra_heads"}
    of_tasks |= {"metrics", "balancer", "thing_area", "stuff_area"}
    own = set(signature(ClassificationModule).parameters)
    assert own - {"head"} == set(signature(FusionModule).parameters) - of_tasks


@pytest.mark.slow
@pytest.mark.parametrize("head", [ClassifierHead, SceneHead])
def test_several_classes_and_label_maps_are_learned_too(
    head: Any, class_folders: Writer, class_table: Writer, plan: Any
) -> None:
    table = partial(ClassTable, table=class_table(class_folders()), several=True, channels=1)
    for dataset, backbone in (
        (table, GRAY),
        (partial(SyntheticScenes, length=6, size=(32, 32)), Backbone("small_cnn")),
    ):
        data = images(dataset)
        model = ClassificationModule(data.classes, head, backbone=backbone)
        trainer = plan()
        with quiet():
            trainer.fit(model, data)
        figures = {name for name in trainer.callback_metrics if name.startswith("val/")}
        assert {"val/scene_map", "val/scene_f1", "val/scene_accuracy", "val/loss"} <= figures
        assert "val/scene_top5" not in figures


def test_its_encoder_is_where_a_fusion_module_starts(tmp_path: Path) -> None:
    classes = Classes(("a", "b"), ((0, 0, 0), (1, 1, 1)), per_image="one")
    source = ClassificationModule(classes, backbone=Backbone("small_cnn"))
    torch.save({"state_dict": source.state_dict()}, tmp_path / "classifier.ckpt")
    model = FusionModule(SyntheticScenes.classes, backbone=Backbone("small_cnn"))
    missing = load_whole(model, tmp_path / "classifier.ckpt")
    assert not [name for name in missing if ".encoder." in name]
    for name, value in source.network.encoder.state_dict().items():
        assert torch.equal(model.network.encoder.state_dict()[name], value), name
