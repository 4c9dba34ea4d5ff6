"""Metrics that are reduced over two real processes, of which the second has no images."""

import math
import multiprocessing
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from fusionseg.metrics import (
    DepthMetrics,
    LibMTLDepthMetrics,
    LibMTLNormalsMetrics,
    LibMTLSemanticMetrics,
    MetricSuite,
    MTANDepthMetrics,
    MTANNormalsMetrics,
    MTANSemanticMetrics,
    NormalsMetrics,
    VandenhendeDepthMetrics,
    VandenhendeNormalsMetrics,
    VandenhendeSemanticMetrics,
)
from fusionseg.metrics.suite import total
from fusionseg.sample import OFFSET, Classes, Prediction, Truth

CONTEXT = multiprocessing.get_context("forkserver")
CLASSES = Classes(("road", "car", "tree"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)), things=(1,))


def suite() -> MetricSuite:
    """Metrics of all kinds."""
    own = [*MetricSuite.standard(CLASSES), DepthMetrics(), NormalsMetrics()]
    of_classes = [
        kind(3) for kind in (MTANSemanticMetrics, LibMTLSemanticMetrics, VandenhendeSemanticMetrics)
    ]
    of_depth = [MTANDepthMetrics(), LibMTLDepthMetrics(), VandenhendeDepthMetrics()]
    of_normals = [MTANNormalsMetrics(), LibMTLNormalsMetrics(), VandenhendeNormalsMetrics()]
    return MetricSuite([*own, *of_classes, *of_depth, *of_normals])


def images(number: int) -> list[tuple[Prediction, Truth]]:
    """Random answers and labels of all kinds."""
    rng = np.random.default_rng(0)
    pairs = []
    for name in range(number):
        semantic = rng.integers(0, 3, (20, 30))
        region = rng.integers(1, 6, (20, 30))
        answers = {
            "semantic": semantic,
            "region": region,
            "fused": 2 - semantic,
            "panoptic": semantic * OFFSET + np.where(semantic == 1, region, 0),
            "scene": rng.random(3).astype(np.float32),
            "depth": rng.uniform(1, 9, (20, 30)),
            "normals": rng.normal(size=(3, 20, 30)),
        }
        labels = {"depth": rng.uniform(1, 9, (20, 30)), "normals": rng.normal(size=(3, 20, 30))}
        true = np.where(rng.random((20, 30)) < 0.4, semantic, rng.integers(0, 3, (20, 30)))
        true[:3] = 255
        truth = Truth(true, rng.integers(0, 4, (20, 30)), maps=labels)
        pairs.append((Prediction(str(name), answers), truth))
    return pairs


def measured(rank: int, folder: Path) -> None:
    """Leaves `RANK.pt`: what the two measured together and what a single process would have."""
    place: dict[str, Any] = {"rank": rank, "world_size": 2, "timeout": timedelta(seconds=60)}
    dist.init_process_group("gloo", f"file://{folder}/store", **place)
    metrics = suite()
    each = [metrics.sums(*pair) for pair in images(4)]
    for sums in each if rank == 0 else []:
        metrics.add(sums)
    figures = metrics.compute()
    pixels = int(metrics.metrics[0].semantic.sum())
    metrics.reset()
    whole = total(each)
    found = {
        "figures": figures,
        "per_class": metrics.per_class(),
        "expected figures": metrics.figures(whole),
        "expected per_class": metrics.per_class(whole),
        "pixels in the state after compute": pixels,
        "pixels": int(whole["semantic"].sum()),
    }
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_a_process_without_images_takes_part_and_knows_the_figures_of_all(tmp_path: Path) -> None:
    ranks = [CONTEXT.Process(target=measured, args=(rank, tmp_path), daemon=True) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(100)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for one in found:
        np.testing.assert_equal(one["figures"], one["expected figures"])
        np.testing.assert_equal(one["per_class"], one["expected per_class"])
        assert not any(map(math.isnan, one["figures"].values()))
    # after the figures are computed, each process goes on with its own images
    assert [one["pixels in the state after compute"] for one in found] == [found[0]["pixels"], 0]
