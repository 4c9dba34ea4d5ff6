from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from fusionseg.data.samples import EvaluationSamples
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.evaluation import Truths, own_truth
from fusionseg.sample import Sample, Truth

Scenes = Callable[..., Sample]


def test_truths_are_the_dataset_s_in_the_order_of_the_batch() -> None:
    samples = EvaluationSamples(SyntheticScenes("val", 5, (40, 48)), scale=0.5)
    batch = {"name": ["x", "y", "z"], "index": torch.tensor([4, 0, 2])}
    truths = Truths(batch, samples)
    for truth, index in zip(truths.result(), (4, 0, 2), strict=True):
        np.testing.assert_array_equal(truth.semantic, samples.truth(index).semantic)
        np.testing.assert_array_equal(truth.region, samples.truth(index).region)
    assert truths.size == (40, 48)


@pytest.mark.parametrize("dataset", [object(), EvaluationSamples(SyntheticScenes("val", 5))])
def test_without_index_the_batch_is_its_own_truth(dataset: Any, scenes: Scenes) -> None:
    batch = scenes(2)
    for i, truth in enumerate(Truths(batch, dataset).result()):
        np.testing.assert_array_equal(truth.semantic, batch["semantic"][i].numpy())
        np.testing.assert_array_equal(truth.region, own_truth(batch, i).region)


def test_label_files_of_different_sizes_cannot_share_a_batch() -> None:
    class Two:
        def truth(self, index: int) -> Truth:
            size = ((4, 6), (6, 4))[index]
            return Truth(np.zeros(size, np.uint8), np.zeros(size, np.int32))

    truths = Truths({"name": ["a", "b"], "index": torch.tensor([0, 1])}, Two())
    with pytest.raises(ValueError, match=r"\[\(4, 6\), \(6, 4\)\]: set data.eval_batch_size to 1"):
        _ = truths.size
