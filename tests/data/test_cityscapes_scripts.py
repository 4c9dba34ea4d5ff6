"""Cityscapes against the official package `cityscapesscripts`: ids, names, colors, categories and scores."""

import json
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from fusionseg.data.cityscapes import Cityscapes
from fusionseg.data.cityscapes_labels import CLASSES, class_of_labels
from fusionseg.files.images import write_panoptic
from fusionseg.metrics import PanopticQuality, SemanticMetrics
from fusionseg.sample import PANOPTIC_VOID

labels = pytest.importorskip("cityscapesscripts.helpers.labels")


def moved(plane: npt.NDArray[np.integer], by: int) -> npt.NDArray[np.integer]:
    """A map that is shifted to the right, as a wrong prediction."""
    return np.roll(plane, by, 1)


def test_the_19_classes_are_the_train_ids() -> None:
    classes = CLASSES[19]
    evaluated = sorted((label.trainId, label) for label in labels.labels if 0 <= label.trainId < 255)
    assert classes.names == tuple(label.name for _, label in evaluated)
    assert classes.colors == tuple(label.color for _, label in evaluated)
    assert classes.ids == tuple(label.id for _, label in evaluated)
    assert classes.things == tuple(i for i, label in evaluated if label.hasInstances)
    table = class_of_labels(19)
    assert [table[label.id] for label in labels.labels if label.id >= 0] == [
        label.trainId for label in labels.labels if label.id >= 0
    ]


def test_the_7_classes_are_the_categories(cityscapes: Path) -> None:
    classes = Cityscapes("train", cityscapes, 7).classes
    table = class_of_labels(7)
    for label in labels.labels:
        if label.id >= 0:
            assert table[label.id] == (label.categoryId - 1 if label.categoryId else 255)
        if label.categoryId:
            assert classes.names[label.categoryId - 1] == label.category
            assert classes.file_ids[label.categoryId - 1] == label.categoryId


def test_regions_and_crowds_are_the_segments_of_panoptic_cityscapes(cityscapes: Path, tmp_path: Path) -> None:
    listed = converted(cityscapes, tmp_path, "train")
    dataset = Cityscapes("train", cityscapes)
    for index, annotation in enumerate(listed["annotations"]):
        with Image.open(tmp_path / "cityscapes_panoptic_train" / annotation["file_name"]) as image:
            ids = np.array(image).astype(int) @ [1, 256, 65536]
        truth = dataset.truth(index)
        assert annotation["image_id"] == dataset.name(index)
        assert truth.crowd is not None
        seen = np.zeros(ids.shape, bool)
        for segment in annotation["segments_info"]:
            inside = ids == segment["id"]
            seen |= inside
            label = dataset.classes.file_ids.index(segment["category_id"])
            assert (truth.semantic[inside] == label).all()
            assert ((truth.crowd[inside] == label) == segment["iscrowd"]).all()
            regions = np.unique(truth.region[inside])
            assert len(regions) == 1
            assert (regions[0] == 0) == segment["iscrowd"]
            if regions[0]:
                assert (truth.region == regions[0]).sum() == segment["area"]
        assert (truth.semantic[~seen] == 255).all()


def converted(root: Path, out: Path, split: str) -> "dict[str, list[dict[str, object]]]":
    """The annotations of a split as the official script makes them."""
    from cityscapesscripts.preparation.createPanopticImgs import convert2panoptic

    convert2panoptic(str(root / "gtFine"), str(out))
    return json.loads((out / f"cityscapes_panoptic_{split}.json").read_text())  # type: ignore[no-any-return]


def test_panoptic_quality_is_that_of_the_official_evaluation(cityscapes: Path, tmp_path: Path) -> None:
    from cityscapesscripts.evaluation.evalPanopticSemanticLabeling import average_pq, pq_compute_single_core

    listed = converted(cityscapes, tmp_path, "train")
    dataset = Cityscapes("train", cityscapes)
    classes = dataset.classes
    metric = PanopticQuality(len(classes), classes.things)
    pairs = []
    for index, truth in enumerate(listed["annotations"]):
        answer = moved(dataset.truth(index).panoptic(classes.things), 3)
        answer[:, :9] = PANOPTIC_VOID
        metric.update(answer, dataset.truth(index))
        pairs.append((truth, write_panoptic(tmp_path / f"{index}.png", answer, classes)))
    categories = {category["id"]: category for category in listed["categories"]}
    folder = str(tmp_path / "cityscapes_panoptic_train")
    found = average_pq(pq_compute_single_core(0, pairs, folder, str(tmp_path), categories), categories)
    figures = metric.compute()
    for name, kind in (("", "All"), ("_things", "Things"), ("_stuff", "Stuff")):
        for figure in ("pq", "sq", "rq"):
            assert figures[figure + name].item() == pytest.approx(found[kind][figure], abs=1e-12)
    assert 0.2 < found["All"]["pq"] < 0.95


def test_miou_is_that_of_the_official_evaluation(cityscapes: Path, tmp_path: Path) -> None:
    official = import_module("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    dataset = Cityscapes("train", cityscapes)
    metric = SemanticMetrics(19)
    answers, truths = [], []
    for index in range(len(dataset)):
        semantic = dataset.labels(index).semantic
        answer = moved(np.where(semantic == 255, 0, semantic), 5)
        metric.update(answer, dataset.truth(index))
        answers.append(str(tmp_path / f"{index}.png"))
        Image.fromarray(np.array(dataset.classes.ids, np.uint8)[answer]).save(answers[-1])
        (truth,) = cityscapes.glob(f"gtFine/train/*/{dataset.name(index)}_gtFine_labelIds.png")
        truths.append(str(truth))
    quiet = {"quiet": True, "JSONOutput": False, "evalInstLevelScore": False}
    args = SimpleNamespace(**{**vars(official.args), **quiet})
    found = official.evaluateImgLists(answers, truths, args)
    assert metric.compute()["miou"].item() == pytest.approx(found["averageScoreClasses"], abs=1e-12)
    assert 0.2 < found["averageScoreClasses"] < 0.95
