import itertools
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import lightning.pytorch as pl
import numpy as np
import pytest

from fusionseg.config.lightning_messages import quiet
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.heads import BoundaryHead, CenterOffsetHead
from fusionseg.module import FusionModule
from fusionseg.sample import OFFSET, Truth

CLASSES = SyntheticScenes.classes
Data = Callable[..., SegmentationDataModule]
Plan = Callable[..., pl.Trainer]
Small = Callable[..., FusionModule]


def pairs(model: FusionModule, data: SegmentationDataModule) -> list[tuple[Any, Truth]]:
    """The answer and the truth of each validation image, one at a time."""
    found = []
    for batch in data.val_dataloader():
        truth = data.datasets["val"].truth(int(batch["index"]))
        (answer,) = model.predictions(data.on_after_batch_transfer(batch, 0), truth.semantic.shape)
        assert all(
            labels is not None for labels in (answer["semantic"], answer["region"], answer["panoptic"])
        )
        found.append((answer, truth))
    return found


def slow_miou(images: list[tuple[Any, Truth]]) -> float:
    both, either = np.zeros(len(CLASSES)), np.zeros(len(CLASSES))
    for answer, truth in images:
        for c in range(len(CLASSES)):
            both[c] += np.sum((answer["semantic"] == c) & (truth.semantic == c))
            either[c] += np.sum((answer["semantic"] == c) | (truth.semantic == c))
    return float(np.mean(both[either > 0] / either[either > 0]))


def slow_covering(images: list[tuple[Any, Truth]]) -> float:
    covered = pixels = 0.0
    for answer, truth in images:
        for r in np.unique(truth.region):
            mask = truth.region == r
            overlaps = [
                np.sum(mask & (answer["region"] == s)) / np.sum(mask | (answer["region"] == s))
                for s in np.unique(answer["region"])
            ]
            covered, pixels = covered + mask.sum() * max(overlaps), pixels + mask.sum()
    return covered / pixels


def slow_pq(images: list[tuple[Any, Truth]]) -> float:
    quality = np.zeros(
        (len(CLASSES), 4)
    )  # per class: matched, of the answer alone, of the truth alone, sum of IoU
    for answer, truth in images:
        things = np.isin(truth.semantic, CLASSES.things)
        segments = truth.semantic.astype(int) * OFFSET + np.where(things, truth.region, 0)
        left, right = set(np.unique(segments)), set(np.unique(answer["panoptic"]))
        for a, b in itertools.product(sorted(left), sorted(right)):
            iou = np.sum((segments == a) & (answer["panoptic"] == b)) / np.sum(
                (segments == a) | (answer["panoptic"] == b)
            )
            if iou > 0.5 and a // OFFSET == b // OFFSET:
                quality[a // OFFSET] += [1, -1, -1, iou]
        for a in left:
            quality[a // OFFSET, 2] += 1
        for b in right:
            quality[b // OFFSET, 1] += 1
    seen = quality[:, :3].sum(1) > 0
    return float(np.mean(quality[seen, 3] / (quality[seen, 0] + quality[seen, 1] / 2 + quality[seen, 2] / 2)))


@pytest.mark.parametrize("region_head", [partial(BoundaryHead, min_area=5), CenterOffsetHead])
@pytest.mark.parametrize(("scale", "size"), [(0.5, (72, 100)), (1.0, (40, 52))])
def test_validation_measures_every_image_once_at_the_size_of_its_file(
    region_head: Any, scale: float, size: tuple[int, int], small: Small, datamodule: Data, plan: Plan
) -> None:
    model = small(region_head=region_head).eval()
    data = datamodule(dataset=partial(SyntheticScenes, length=5, size=size), scale=scale)
    with quiet():
        (figures,) = plan().validate(model, datamodule=data, verbose=False)
    images = pairs(model, data)
    miou, covering = slow_miou(images), slow_covering(images)
    assert figures["val/miou"] == pytest.approx(miou, rel=1e-6)
    assert figures["val/covering"] == pytest.approx(covering, rel=1e-6)
    assert figures["val/pq"] == pytest.approx(slow_pq(images), rel=1e-6)
    assert figures["val/score"] == pytest.approx((miou * covering) ** 0.5, rel=1e-6)
    assert sorted(answer.name for answer, _ in images) == [f"val-{i:05d}" for i in range(5)]


def test_figures_do_not_depend_on_the_evaluation_batch(small: Small, datamodule: Data, plan: Plan) -> None:
    model = small().eval()
    with quiet():
        one, four = (
            plan().validate(model, datamodule=datamodule(eval_batch_size=size), verbose=False)[0]
            for size in (1, 4)
        )
    assert one == pytest.approx(four, rel=1e-5, nan_ok=True)


def test_an_interrupted_validation_leaves_no_trace(small: Small, datamodule: Data, plan: Plan) -> None:
    model, data = small().eval(), datamodule()
    with quiet():
        (expected,) = plan().validate(model, datamodule=data, verbose=False)
        with patch.object(
            model, "on_validation_batch_end", side_effect=RuntimeError("power cut"), create=True
        ):
            trainer = plan()
            with pytest.raises(RuntimeError, match="power cut"):
                trainer.validate(model, datamodule=data, verbose=False)
        (again,) = plan().validate(model, datamodule=data, verbose=False)
    assert again == pytest.approx(expected, nan_ok=True)


def test_the_test_split_is_measured_under_its_own_name(small: Small, datamodule: Data, plan: Plan) -> None:
    with quiet():
        (figures,) = plan().test(small(), datamodule=datamodule(), verbose=False)
    assert {"test/miou", "test/covering", "test/pq", "test/score", "test/loss"} <= figures.keys()
