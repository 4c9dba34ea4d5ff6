import math
import multiprocessing
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

from fusionseg.data.base import Pixels
from fusionseg.data.samples import EvaluationSamples
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.evaluation import Evaluation, Truths, evaluated, own_truth
from fusionseg.metrics import DepthMetrics, MetricSuite, SemanticMetrics
from fusionseg.metrics.suite import total
from fusionseg.sample import Prediction, Sample, Truth

Scenes = Callable[..., Sample]
CONTEXT = multiprocessing.get_context("forkserver")


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


WEIGHTS = {"semantic": 0.5, "depth": 2.0}
TERMS = torch.tensor([[[3.0, 0.0], [4.0, 5.0]], [[2.0, 0.0], [8.0, 10.0]]])
"""The sums of two tasks, of which the first has one loss and the second two, and their weights."""


def batch(seed: int) -> Sample:
    """The labels of two images."""
    chance = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (2, 20, 30), generator=chance)
    depth = torch.rand(2, 20, 30, generator=chance) + 1
    return {"name": ["a", "b"], "semantic": labels, "region": labels + 1, "depth": depth}


def predictions(seed: int) -> list[Prediction]:
    """Answers for them."""
    rng = np.random.default_rng(seed)
    return [
        Prediction(name, {"semantic": rng.integers(0, 3, (20, 30)), "depth": rng.random((20, 30)) + 1})
        for name in ("a", "b")
    ]


def evaluation(batches: int) -> Evaluation:
    """An evaluation of so many batches."""
    evaluation = Evaluation(MetricSuite([SemanticMetrics(3), DepthMetrics()]), WEIGHTS)
    evaluation.begin()
    for seed in range(batches):
        evaluation.add_losses(TERMS)
        evaluation.score(predictions(seed), Truths(batch(seed), None))
    return evaluation


def both(rank: int, folder: Path) -> None:
    """Evaluates as one of two processes, of which the second has no images, after what it would find alone."""
    alone = evaluation(3).figures()
    place: dict[str, Any] = {"rank": rank, "world_size": 2, "timeout": timedelta(seconds=60)}
    dist.init_process_group("gloo", f"file://{folder}/store", **place)
    together = evaluation(3 if rank == 0 else 0).figures()
    torch.save({"alone": alone, "together": together}, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_a_rank_without_images_takes_part(tmp_path: Path) -> None:
    ranks = [CONTEXT.Process(target=both, args=(rank, tmp_path), daemon=True) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(100)
    assert [rank.exitcode for rank in ranks] == [0, 0]
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


class Sizes(SyntheticScenes):
    """Scenes of three sizes in turn, two of which a network sees at the same padded size."""

    def image_size(self, index: int) -> tuple[int, int]:
        return ((40, 48), (48, 40), (44, 48))[index % 3]

    def read(self, index: int) -> Pixels:
        return SyntheticScenes("val", 20, self.image_size(index)).read(index)


def test_images_of_equal_size_share_a_batch_and_figures_and_their_order_stay(
    small: Any, datamodule: Any
) -> None:
    model = small().eval()
    found = [
        list(
            evaluated(
                model,
                datamodule(dataset=partial(Sizes, length=11), eval_batch_size=size),
                "val",
                "32-true",
                model.suite,
            )
        )
        for size in (1, 3)
    ]
    names = [[image.prediction.name for _, image in images] for images in found]
    assert names == [[f"val-{i:05d}" for i in range(11)]] * 2
    alone, joint = (model.suite.figures(total(image.sums for _, image in images)) for images in found)
    assert alone == pytest.approx(joint, rel=1e-6, nan_ok=True)
    for (photo, one), (other_photo, other) in zip(*found, strict=True):
        np.testing.assert_array_equal(photo, other_photo)
        assert one.prediction["semantic"].shape == other.prediction["semantic"].shape
        assert (one.prediction["semantic"] == other.prediction["semantic"]).mean() > 0.999


@pytest.mark.slow
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
