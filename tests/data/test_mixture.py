from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fusionseg.data.augmentation import Augmentation
from fusionseg.data.base import DataError, Pixels, SegmentationDataset, Split, channels_first
from fusionseg.data.batches import collated
from fusionseg.data.camvid import CamVid
from fusionseg.data.cityscapes import Cityscapes
from fusionseg.data.coco_panoptic import CocoPanoptic
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.libmtl_arrays import LibMTLArrays
from fusionseg.data.mixture import MixtureDataset
from fusionseg.data.samples import TrainSamples
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.objective import divided, padded_terms
from fusionseg.heads import BoundaryHead, CenterOffsetHead
from fusionseg.metrics.suite import MetricSuite, total
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import OFFSET, VOID, Classes, Prediction, Sample, Truth


class Ramp(SegmentationDataset):
    """Images of one value, whose lines are of the classes 0, 1, 2 and void; the last line is a crowd."""

    splits = ("train", "val")
    classes = Classes(("road", "sky", "car"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)), things=(2,), region="a line")

    def __init__(self, split: Split, length: int = 5, channels: int = 3) -> None:
        super().__init__(split)
        self.length, self.channels = length, channels

    def __len__(self) -> int:
        return self.length

    def name(self, index: int) -> str:
        return f"{self.split}{index}"

    def read(self, index: int) -> Pixels:
        lines = np.repeat(np.array([[0], [1], [2], [VOID]], np.uint8), 5, axis=1)
        region = np.repeat(np.array([[1], [2], [0], [3]], np.uint16), 5, axis=1)
        return Pixels(np.full((4, 5, self.channels), index, np.uint8), lines, region)

    def truth(self, index: int) -> Truth:
        semantic, region, _ = self.labels(index)
        crowd = np.where(semantic == 2, semantic, VOID)
        return Truth(semantic, region, crowd, others=(region + 1,))

    def sources(self) -> list[object]:
        return [self.length]


class Shown(Ramp):
    """Has labels of whole images."""

    classes = replace(Ramp.classes, per_image="any")


class Other(Ramp):
    """Has other classes, two of them by the same name, and a test split."""

    splits = ("train", "val", "test")
    classes = Classes(("car", "road", "tree"), ((4, 4, 4), (5, 5, 5), (6, 6, 6)), things=(0,), region="a row")


class Twice(Ramp):
    """Has a class of the name that another one of it gets where a part beside it has it too."""

    classes = Classes(("road", "a road"), ((1, 1, 1), (2, 2, 2)))


BOTH: dict[str, Any] = {"a": Ramp, "b": partial(Other, length=3)}


def mixed(split: Split = "train", **arguments: Any) -> MixtureDataset:
    return MixtureDataset(split, **{"datasets": BOTH, **arguments})


def test_evaluation_has_all_images_of_all_parts_in_order_by_different_names() -> None:
    dataset = mixed("val", weights={"a": 0, "b": 1})
    names = [dataset.name(i) for i in range(len(dataset))]
    assert names == [*(f"a-val{i}" for i in range(5)), *(f"b-val{i}" for i in range(3))]
    assert [int(dataset.read(i).image[0, 0, 0]) for i in range(8)] == [0, 1, 2, 3, 4, 0, 1, 2]
    with pytest.raises(IndexError, match=r"0\.\.7, found 8"):
        dataset.read(8)


def test_a_part_without_the_split_has_classes_but_no_images() -> None:
    dataset = mixed("test")
    assert [dataset.name(i) for i in range(len(dataset))] == ["b-test0", "b-test1", "b-test2"]
    assert dataset.classes == mixed("train").classes
    assert dataset.read(0).semantic[:, 0].tolist() == [3, 4, 5, VOID]
    with pytest.raises(DataError, match="a part with the split test, found none among a"):
        mixed("test", datasets={"a": Ramp})


def test_apart_no_two_classes_are_one() -> None:
    dataset = mixed()
    assert dataset.classes == Classes(
        ("a road", "sky", "a car", "b car", "b road", "tree"),
        tuple((i, i, i) for i in range(1, 7)),
        things=(2, 3),
        region="a: a line; b: a row",
    )
    assert dataset.read(0).semantic[:, 0].tolist() == [0, 1, 2, VOID]
    assert dataset.labels(5).semantic[:, 0].tolist() == [3, 4, 5, VOID]


def test_classes_of_one_name_after_renaming_are_one_and_null_is_void() -> None:
    dataset = mixed(classes={"a": {"road": "street", "sky": None}, "b": {"road": "street", "tree": "plant"}})
    assert dataset.classes.names == ("street", "car", "plant")
    assert dataset.classes.colors == ((1, 1, 1), (3, 3, 3), (6, 6, 6))
    assert dataset.classes.things == (1,)
    assert dataset.read(0).semantic[:, 0].tolist() == [0, VOID, 1, VOID]
    assert dataset.read(5).semantic[:, 0].tolist() == [1, 0, 2, VOID]
    assert mixed(classes={}).classes.names == ("road", "sky", "car", "tree")


def test_a_truth_is_renamed_with_its_crowds_and_keeps_its_annotators() -> None:
    dataset = mixed("val", classes={"a": {"sky": None}})
    truth, crowd = dataset.truth(5), dataset.truth(5).crowd
    assert crowd is not None
    assert truth.semantic[:, 0].tolist() == [1, 0, 2, VOID]
    assert crowd[:, 0].tolist() == [VOID, VOID, 2, VOID]
    assert [region[:, 0].tolist() for region in (truth.region, *truth.others)] == [[1, 2, 0, 3], [2, 3, 1, 4]]
    assert truth.has_regions


def test_labels_that_do_not_count_are_nowhere() -> None:
    for dataset in (
        mixed("val", labels={"a": "semantic", "b": "region"}),
        mixed("val", labels={"a": "semantic"}),
    ):
        semantic, region, _ = dataset.read(0)[1:]
        assert semantic[:, 0].tolist() == [0, 1, 2, VOID]
        assert not region.any()
        truth = dataset.truth(0)
        assert not truth.region.any()
        assert (truth.crowd, truth.others, truth.has_regions) == (None, (), False)
    dataset = mixed("val", labels={"a": "semantic", "b": "region"})
    assert dataset.classes.names == Ramp.classes.names
    assert dataset.classes.region == "b: a row"
    assert (dataset.labels(5).semantic == VOID).all()
    assert (dataset.truth(5).semantic == VOID).all()
    assert dataset.truth(5).region[:, 0].tolist() == [1, 2, 0, 3]
    assert len(dataset.truth(5).others) == 1
    assert len(mixed(labels={"a": "region", "b": "region"}).classes) == 6


def test_a_part_without_a_further_kind_has_maps_of_zeros() -> None:
    deep = partial(SyntheticScenes, length=4, size=(32, 48), depth=True, normals=True)
    only = partial(SyntheticScenes, length=2, size=(32, 48), depth=True)
    plain = partial(SyntheticScenes, length=3, size=(32, 48))
    parts = {"plain": plain, "only": only, "deep": deep}
    dataset = mixed("train", datasets=parts, labels={"deep": "semantic"})
    assert dataset.kinds == ("depth", "normals")
    for index, valid in ((0, (False, False)), (3, (True, False)), (5, (True, True))):
        labels, truth = dataset.labels(index), dataset.truth(index)
        for maps in (dataset.read(index).maps, labels.maps):
            assert [maps[kind].shape for kind in dataset.kinds] == [(32, 48), (32, 48, 3)]
            assert tuple(bool(maps[kind].any()) for kind in dataset.kinds) == valid
            assert all(plane.dtype == np.float32 for plane in maps.values())
        for kind, plane in channels_first(labels.maps).items():
            assert np.array_equal(truth.maps[kind], plane)
    assert np.array_equal(dataset.read(6).maps["normals"], deep("train").read(1).maps["normals"])
    samples = TrainSamples(dataset, Augmentation(), (32, 32))
    assert collated([samples[0, i] for i in range(9)])["normals"].shape == (9, 3, 32, 32)


def test_all_splits_have_the_kinds_of_all_parts() -> None:
    class Deep(Ramp):
        kinds = ("depth",)

        def read(self, index: int) -> Pixels:
            return super().read(index)._replace(maps={"depth": np.ones((4, 5), np.float32)})

    dataset = mixed("test", datasets={"a": Deep, "b": Other})
    assert dataset.kinds == ("depth",)
    assert not dataset.read(0).maps["depth"].any()
    assert mixed("val", datasets={"a": Deep, "b": Other}).read(0).maps["depth"].all()
    assert mixed("val").kinds == ()
    assert not mixed("val").read(0).maps


def test_a_kind_in_two_units_is_told(cityscapes: Path, libmtl: Path) -> None:
    pixels = partial(Cityscapes, root=cityscapes, num_classes=7, disparity=True)
    arrays = partial(LibMTLArrays, root=libmtl / "cityscapes7", copy="cityscapes7")
    parts: dict[str, Any] = {"pixels": pixels, "arrays": arrays}
    line = (
        "disparity is mixed of values in different units (pixels of the original width in pixels, no stated "
        "unit in arrays), as if they were one"
    )
    assert line in mixed(datasets=parts).notices
    plain = partial(pixels, disparity=False)
    for other in (
        {"pixels": plain, "arrays": arrays},
        {"a": arrays, "b": arrays},
        {"a": pixels, "b": pixels},
    ):
        assert not any("different units" in notice for notice in mixed(datasets=other).notices)


def test_what_it_was_made_of_is_kept_in_plain_form_and_its_cache_is_keyed_by_it() -> None:
    module = SegmentationDataModule(partial(MixtureDataset, datasets=BOTH, classes={"a": {"sky": None}}))
    kept: Any = module.hparams["dataset"]
    assert kept["init_args"]["datasets"]["b"]["init_args"] == {"length": 3}
    assert kept["init_args"]["classes"] == {"a": {"sky": None}}
    settings: list[dict[str, Any]] = [
        {},
        {"classes": {}},
        {"labels": {"a": "region"}},
        {"labels": {"a": "semantic"}},
    ]
    settings += [{"datasets": {"a": Ramp, "b": Ramp}}, {"datasets": {"a": Ramp, "b": Other}}]
    assert len({repr(mixed(**setting).sources()) for setting in settings}) == len(settings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"datasets": {}}, "datasets by names of letters, .* found none"),
        ({"datasets": {"a b": Ramp}}, r"found \['a b'\]"),
        ({"weights": {"a": 1, "b": 1, "c": 1}}, "expected weights of the parts a, b, found c"),
        ({"labels": {"c": "both"}}, "expected labels of the parts a, b, found c"),
        ({"classes": {"c": {}}}, "expected classes of the parts a, b, found c"),
        ({"weights": {"a": 1}}, "a weight for each part, found none for b"),
        ({"weights": {"a": 1, "b": -1}}, "weights of 0 or more, not all 0, found {'a': 1, 'b': -1}"),
        ({"weights": {"a": float("nan"), "b": 1}}, "weights of 0 or more"),
        ({"weights": {"a": 0, "b": 0}}, "weights of 0 or more, not all 0"),
        ({"labels": {"a": "regions"}}, "labels both, semantic, region, found regions of a"),
        ({"classes": {"a": {"Road": "road"}}}, r"classes of a \(road, sky, car\), found Road"),
        ({"classes": {"a": {"sky": "car"}}}, "expected car to be a thing in all parts or in none"),
        (
            {"classes": {"a": dict.fromkeys(("road", "sky", "car"))}, "labels": {"b": "region"}},
            "1 to 255 classes, found 0",
        ),
        ({"datasets": {"a": Twice, "b": Ramp}}, "different names in a part, found a road more than once"),
        ({"epoch_length": 0}, "an epoch_length above 0, found 0"),
        (
            {"datasets": {"a": Ramp, "b": partial(Ramp, channels=4)}},
            "channels in all parts, found 3 in a, 4 in b",
        ),
    ],
)
def test_what_does_not_fit_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mixed(**arguments)


def halves(scenes: Callable[..., Sample]) -> tuple[Sample, Sample, Sample]:
    """A batch of which the first two images have classes only and the last two regions only, and those two pairs."""
    batch = scenes(4, (64, 64))
    batch["semantic"][2:], batch["region"][:2] = VOID, 0
    first, last = ({key: value[part] for key, value in batch.items()} for part in (slice(2), slice(2, 4)))
    return batch, first, last


# The center head's loss is in single precision whatever the model's.
@pytest.mark.slow
@pytest.mark.parametrize(("head", "rtol"), [(BoundaryHead, 1e-12), (CenterOffsetHead, 1e-6)])
def test_the_loss_of_a_mixed_batch_is_that_of_its_labelled_images(
    head: Any, rtol: float, scenes: Callable[..., Sample]
) -> None:
    model = (
        FusionModule(SyntheticScenes.classes, region_head=head, backbone=Backbone(decoder="FPN"))
        .double()
        .eval()
    )
    joint, semantic, region = (
        divided(*padded_terms(model.objective.terms(model(batch["image"]), batch)))
        for batch in halves(scenes)
    )
    torch.testing.assert_close(joint[0], semantic[0], rtol=1e-12, atol=0)
    torch.testing.assert_close(joint[1], region[1], rtol=rtol, atol=0)
    assert (joint > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("head", [BoundaryHead, CenterOffsetHead])
def test_a_batch_without_labels_of_a_task_has_zero_loss_and_zero_gradients_of_its_head(
    head: Any, scenes: Callable[..., Sample]
) -> None:
    model = FusionModule(SyntheticScenes.classes, region_head=head, backbone=Backbone(decoder="FPN"))
    _, *batches = halves(scenes)
    for idle, busy, batch in zip(("region", "semantic"), ("semantic", "region"), batches, strict=True):
        model.zero_grad()
        losses = divided(*padded_terms(model.objective.terms(model(batch["image"]), batch)))
        losses.sum().backward()
        assert losses[model.tasks.index(idle)] == 0
        gradients = {task: [p.grad for p in model.network.heads[task].parameters()] for task in (idle, busy)}
        assert all(gradient is not None and not gradient.any() for gradient in gradients[idle])
        assert all(gradient is not None and gradient.any() for gradient in gradients[busy])


def answer(rng: np.random.Generator, truth: Truth) -> Prediction:
    semantic, region = rng.integers(0, 3, truth.semantic.shape), rng.integers(1, 4, truth.semantic.shape)
    return Prediction(
        "",
        {
            "semantic": semantic,
            "region": region,
            "fused": 2 - semantic,
            "panoptic": semantic * OFFSET + np.where(semantic == 2, region, 0),
        },
    )


@pytest.mark.parametrize("kind", ["semantic", "region"])
def test_images_without_labels_of_a_kind_do_not_count_in_its_figures(kind: Any) -> None:
    rng, measures = np.random.default_rng(0), MetricSuite.standard(Ramp.classes)
    whole, part = (mixed("val", datasets={"a": Ramp}, labels=labels) for labels in (None, {"a": kind}))
    sums = [
        measures.sums(answer(rng, data.truth(i)), data.truth(i)) for data in (whole, part) for i in range(5)
    ]
    alone, both = measures.figures(total(sums[:5])), measures.figures(total(sums))
    panoptic = {name for name in alone if name[:2] in ("pq", "sq", "rq")}
    of_semantic = {
        "miou",
        "accuracy",
        "mean_accuracy",
        "f1",
        "precision",
        "recall",
        "miou_fused",
        "accuracy_fused",
    }
    of_region = alone.keys() - panoptic - of_semantic - {"score"}
    assert (len(panoptic), len(of_region)) == (9, 8)
    missing, counted = (of_region, of_semantic) if kind == "semantic" else (of_semantic, of_region)
    np.testing.assert_equal(
        {name: both[name] for name in panoptic | missing}, {n: alone[n] for n in panoptic | missing}
    )
    assert sum(both[name] != alone[name] for name in counted) > len(counted) / 2


def test_real_streets_and_real_things_share_classes(data: Path) -> None:
    camvid, coco = partial(CamVid, root=data / "CamVid"), partial(CocoPanoptic, root=data / "coco_panoptic")
    renamed = {"Car": "car", "Pedestrian": "person", "Bicyclist": "person", "Road": "road"}
    dataset = MixtureDataset("val", {"CamVid": camvid, "coco": coco}, classes={"CamVid": dict(renamed)})
    names = dataset.classes.names
    assert (len(dataset), len(names)) == (101 + 100, 11 - 4 + 133)
    for source, start, new in ((camvid("val"), 0, renamed), (coco("val"), 101, {})):
        for index in (0, 50, 99):
            theirs, ours = source.labels(index).semantic, dataset.labels(start + index).semantic
            for a, b in set(zip(theirs.ravel().tolist(), ours.ravel().tolist(), strict=True)):
                own = VOID if a == VOID else source.classes.names[a]
                assert (VOID if b == VOID else names[b]) == new.get(str(own), own)


def test_labels_of_whole_images_are_no_part_of_a_mixture() -> None:
    with pytest.raises(
        DataError, match="expected parts with label maps, found labels of whole images in mine"
    ):
        MixtureDataset("train", {"maps": Ramp, "mine": Shown})
