from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from fusionseg.data import RepeatFactorSampling
from fusionseg.data.base import DataError
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.heads import BoundaryHead, SceneHead, SemanticHead
from fusionseg.inspection.chosen_heads import ShownHead, chosen_heads
from fusionseg.inspection.views import views
from fusionseg.sample import Sample

Data = Callable[..., SegmentationDataModule]
BOTH = {
    "SemanticHead": ShownHead(SemanticHead(1, 6), True, ""),
    "BoundaryHead": ShownHead(BoundaryHead(1), False, ""),
    "SceneHead": ShownHead(SceneHead(1, 6), False, ""),
}


def trained_on(data: SegmentationDataModule, epoch: int) -> dict[str, Sample]:
    """The samples of an epoch as the training loop gets them, by name."""
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    samples = {}
    for batch in loader:
        ready = data.on_after_batch_transfer(batch, 0)
        for i, name in enumerate(ready["name"]):
            samples[name] = {key: ready[key][i : i + 1] for key in ("image", "semantic", "region")}
    return samples


def test_an_image_that_is_drawn_several_times_is_shown_once(datamodule: Data) -> None:
    data = datamodule(batch_size=1, sampling=partial(RepeatFactorSampling, threshold=1.0))
    data.setup("fit")
    names = [view.name for view in views(data, {}, 8)[::2]]
    assert len(names) == len(set(names)) > 3


def test_views_are_those_of_training_in_each_epoch(datamodule: Data) -> None:
    data = datamodule(batch_size=1)
    data.setup("fit")
    found = views(data, BOTH, 3)
    first = trained_on(data, 0)
    assert [view.name for view in found[::2]] == list(first)[:3]
    for view in found:
        sample = trained_on(data, view.epoch)[view.name]
        np.testing.assert_array_equal(view.pictures["image"], sample["image"][0].permute(1, 2, 0).numpy())
        for name, shown in BOTH.items():
            drawn = shown.head.draw_target(sample, data.classes)
            if drawn is not None:
                np.testing.assert_array_equal(view.pictures[name], drawn)
        blank = (sample["semantic"] == 255) & (sample["region"] == 0)
        assert view.unlabelled == pytest.approx(blank.float().mean().item())
    assert [view.epoch for view in found] == [0, 1] * 3
    assert not np.array_equal(found[0].pictures["image"], found[1].pictures["image"])


def test_what_cannot_be_drawn_or_has_no_labels_is_left_out(
    datamodule: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = datamodule()
    data.setup("fit")
    assert list(views(data, BOTH, 1)[0].pictures) == ["image", "regions", "SemanticHead", "BoundaryHead"]
    every = chosen_heads({}, None, 6)  # with heads of depth and normals, of which there are no labels
    assert not {"DepthHead", "NormalsHead", "SceneHead"} & views(data, every, 1)[0].pictures.keys()
    bare = data.on_after_batch_transfer

    def without_regions(batch: Sample, index: int) -> Sample:
        batch = bare(batch, index)
        return batch | {"region": torch.zeros_like(batch["region"])}

    monkeypatch.setattr(data, "on_after_batch_transfer", without_regions)
    assert list(views(data, BOTH, 1)[0].pictures) == ["image", "SemanticHead"]


def test_there_are_no_more_views_than_images_of_an_epoch(datamodule: Data) -> None:
    data = datamodule()
    data.setup("fit")
    assert len(views(data, {}, 99)) == 2 * 4  # of five images in batches of two
    small = datamodule(batch_size=6)
    small.setup("fit")
    with pytest.raises(DataError, match="at least one batch of 6 training images, found 5"):
        views(small, {}, 1)
