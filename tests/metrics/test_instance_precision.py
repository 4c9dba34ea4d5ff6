import copy
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torchmetrics import MetricCollection

from fusionseg.metrics.detections import Detections, detections, precision_figures
from fusionseg.metrics.instance_precision import InstancePrecision
from fusionseg.metrics.instances import instances
from fusionseg.metrics.mask_boundaries import boundary_distance

CONTEXT = multiprocessing.get_context("forkserver")
Drawn = list[tuple[np.ndarray, np.ndarray, np.ndarray]]


def drawn(images: int) -> Drawn:
    """Predictions, truths and confidences."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(images):
        truth = np.kron(random.integers(0, 6, (3, 5)), np.ones((4, 4), np.int64))
        prediction = np.roll(truth, 1, 1)
        found.append((prediction, truth, random.random(np.unique(prediction[prediction > 0]).size)))
    return found


def updated(metric: InstancePrecision, images: Drawn) -> InstancePrecision:
    for prediction, truth, confidences in images:
        metric.update(prediction, truth, confidences)
    return metric


def plain(metric: InstancePrecision) -> dict[str, float]:
    return {name: float(value) for name, value in metric.compute().items()}


@pytest.mark.parametrize("limit", [None, 2])
def test_the_metric_has_the_figures_of_its_functions(limit: int | None) -> None:
    each = []
    truths = 0
    for prediction, truth, confidences in drawn(4):
        found = instances(truth, prediction, boundary_distance(truth.shape))
        truths += found.truths.size
        each.append(detections(found, confidences, limit))
    joined = Detections(*(np.concatenate(parts) for parts in zip(*each, strict=True)))
    expected = precision_figures(joined, truths)
    assert plain(updated(InstancePrecision(limit), drawn(4))) == expected
    assert 0 < expected["coco_ap"] < 1


def test_it_is_reset_and_copied() -> None:
    metric = updated(InstancePrecision(), drawn(2))
    known = plain(metric)
    assert plain(copy.deepcopy(metric)) == known
    metric.reset()
    assert plain(updated(metric, drawn(2))) == known


def test_tensors_lists_and_unsigned_confidences_are_the_same() -> None:
    expected = updated(InstancePrecision(1), drawn(2))
    found = InstancePrecision(1)
    for prediction, truth, confidences in drawn(2):
        ranks = (confidences * 200).astype(np.uint8)
        found.update(torch.from_numpy(prediction), torch.from_numpy(truth), torch.from_numpy(ranks))
    assert plain(found) == plain(expected)
    metric = InstancePrecision()
    metric.update([[1, 2]], [[1, 2]], [0.5, 0.25])  # type: ignore[arg-type]
    assert plain(metric)["coco_ap"] == 1


def test_no_conversion_of_a_module_rounds_it() -> None:
    metric = updated(InstancePrecision(), drawn(2))
    expected = plain(metric)
    torch.nn.Sequential(metric).to(torch.bfloat16)
    assert plain(metric) == expected


def test_limits_share_nothing_in_a_collection() -> None:
    collection = MetricCollection(
        {"all": InstancePrecision(), "one": InstancePrecision(1)}, compute_groups=True
    )
    one, several = np.array([[1, 0, 0, 0]]), np.array([[1, 2, 3, 0]])
    collection.update(one, one, np.ones(1))
    collection.update(several, several, np.array([0.3, 0.2, 0.1]))
    assert {name: float(v) for name, v in collection.compute().items() if "coco_ap50" in name} == {
        "all_coco_ap50": pytest.approx(1),
        "one_coco_ap50": pytest.approx(51 / 101),
    }


@pytest.mark.parametrize("options", [{"max_detections": 0}, {"boundary_share": 2.0}])
def test_arguments_out_of_range_are_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        InstancePrecision(**options)


def measured(rank: int, folder: Path) -> None:
    """Leaves `RANK.pt`: the figures of two processes, of which the second has no images."""
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    torch.save(plain(updated(InstancePrecision(), drawn(3) if rank == 0 else [])), folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_a_process_without_images_knows_the_figures_of_all(tmp_path: Path) -> None:
    ranks = [CONTEXT.Process(target=measured, args=(rank, tmp_path), daemon=True) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(100)
    expected = plain(updated(InstancePrecision(), drawn(3)))
    assert [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)] == [expected, expected]
