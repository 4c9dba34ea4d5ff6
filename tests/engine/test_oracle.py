from functools import partial

import numpy as np
import pytest
import torch

from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.evaluation import suite_for
from fusionseg.engine.oracle import oracle_images
from fusionseg.heads import BoundaryHead, CenterOffsetHead, Head, SemanticHead
from fusionseg.metrics.regions import region_figures, region_sums
from fusionseg.metrics.suite import total
from fusionseg.sample import Frame


@pytest.fixture
def data() -> SegmentationDataModule:
    return SegmentationDataModule(
        partial(SyntheticScenes, length=5, size=(64, 96)), workers=0, eval_batch_size=2
    )


@pytest.mark.parametrize("head", [BoundaryHead(1), CenterOffsetHead(1)], ids=["boundary", "center"])
def test_figures_are_those_of_decoded_targets(head: Head, data: SegmentationDataModule) -> None:
    both = {"semantic": SemanticHead(1, len(data.classes)), "region": head}
    suite = suite_for(both, {"semantic": 1.0, "region": 1.0}, data.classes)
    found = list(oracle_images({"only": (both, suite)}, data, "val"))
    dataset = data.dataset("val")
    expected = np.zeros(6)
    for index in range(len(dataset)):
        truth = dataset.truth(index)
        batch = {"region": torch.from_numpy(truth.region.astype(np.int64))[None]}
        labels = head.labels(head.ideal(head.target(batch)), Frame.whole((64, 96)))
        expected += region_sums(labels[0].numpy(), truth.region)
    figures = suite.figures(total(image["only"].sums for image in found))
    assert len(found) == 5
    assert figures["covering"] == pytest.approx(region_figures(expected)["covering"], abs=1e-12)
    assert figures["miou"] == 1
    assert 0.8 < figures["covering"] <= 1
    assert all(image["only"].target > 0 and image["only"].decoding > 0 for image in found)


def test_a_limit_is_a_number_of_images(data: SegmentationDataModule) -> None:
    heads = {"region": BoundaryHead(1)}
    suite = suite_for(heads, {"region": 1.0}, data.classes)
    assert len(list(oracle_images({"only": (heads, suite)}, data, "val", limit=3))) == 3
