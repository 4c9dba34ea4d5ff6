import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fusionseg
from fusionseg.data.samples import EvaluationSamples
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.evaluation import Evaluation, Truths, evaluated, own_truth
from fusionseg.metrics import MetricSuite, SemanticMetrics
from fusionseg.metrics.suite import total
from fusionseg.sample import Prediction, Sample, Truth

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


def test_a_rank_without_images_takes_part(tmp_path: Path) -> None:
    script = [sys.executable, str(Path(__file__).with_name("two_evaluations.py"))]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(fusionseg.__file__).parents[1])}
    ranks = [
        subprocess.Popen([*script, str(rank), str(tmp_path)], env=env, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    errors = [rank.communicate(timeout=200)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], errors
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        np.testing.assert_equal(found["together"], found["alone"])
        figures = found["together"]
        assert figures["loss_semantic"] == 3 / 2
        assert figures["loss_depth"] == 4 / 8 + 5 / 10
        assert figures["loss"] == 0.5 * 3 / 2 + 2.0 * 1.0
        assert 0 < figures["miou"] < 1
        assert figures["depth_rmse"] > 0


def test_an_evaluation_that_begins_again_has_forgotten_all(scenes: Scenes) -> None:
    batch = scenes(2)
    right = [Prediction(n, {"semantic": s.numpy()}) for n, s in zip("ab", batch["semantic"], strict=True)]
    wrong = [Prediction(n, {"semantic": 5 - s.numpy()}) for n, s in zip("ab", batch["semantic"], strict=True)]
    evaluation = Evaluation(MetricSuite([SemanticMetrics(6)]))
    evaluation.begin()
    evaluation.score(wrong, Truths(batch, None))
    evaluation.begin()
    scored = evaluation.score(right, Truths(batch, None))
    assert evaluation.figures()["miou"] == 1
    assert [one.prediction.name for one in scored] == ["a", "b"]
    assert total(one.sums for one in scored)["semantic"].sum() == (batch["semantic"] != 255).sum()


def test_without_images_there_are_no_losses() -> None:
    evaluation = Evaluation(MetricSuite([SemanticMetrics(6)]), {"semantic": 1.0})
    evaluation.begin()
    assert "loss" not in evaluation.figures()
    assert math.isnan(evaluation.figures()["score"])


def test_every_image_is_evaluated_once_and_in_order(small: Any, datamodule: Any) -> None:
    model = small().eval()
    data = datamodule(eval_batch_size=2)
    found = list(evaluated(model, data, "val", "32-true", model.suite))
    assert [image.prediction.name for _, image in found] == [f"val-{i:05d}" for i in range(5)]
    for i, (photo, image) in enumerate(found):
        pixels = data.datasets["val"].read(i)
        np.testing.assert_array_equal(photo, pixels.image)
        np.testing.assert_array_equal(image.truth.region, pixels.region)
        assert image.prediction["semantic"].shape == pixels.semantic.shape


def test_a_task_of_weight_0_does_not_enter_the_score(small: Any, datamodule: Any) -> None:
    def figures(**weights: float) -> dict[str, float]:
        model = small(**weights).eval()
        found = evaluated(model, datamodule(), "val", "32-true", model.suite)
        return model.suite.figures(total(image.sums for _, image in found))  # type: ignore[no-any-return]

    both = figures()
    assert both["score"] == pytest.approx((both["miou"] * both["covering"]) ** 0.5)
    alone = figures(beta=0.0)
    assert alone["score"] == alone["miou"]
    assert alone["covering"] > 0
    alone = figures(alpha=0.0)
    assert alone["score"] == alone["covering"]
    scene = figures(alpha=0.0, beta=0.0, gamma=1.0)
    assert scene["score"] == scene["scene_map"]
    assert {"miou", "covering"} <= scene.keys()
