import numpy as np
import pytest

from fusionseg.metrics.instance_scores import InstanceScores
from fusionseg.metrics.instances import instance_figures, instance_sums, instances
from fusionseg.sample import IntMap, Truth


def truth(region: IntMap) -> Truth:
    return Truth(semantic=np.zeros(region.shape, int), region=region)


def random_regions(seed: int) -> tuple[IntMap, IntMap]:
    region = np.kron(np.random.default_rng(seed).integers(0, 4, (5, 6)), np.ones((5, 6), int))
    return region, np.roll(region, 1, 0)


def test_the_metric_has_the_figures_of_its_functions() -> None:
    metric = InstanceScores(boundary_share=0.05)
    added = []
    for seed in range(3):
        region, prediction = random_regions(seed)
        metric.update(prediction, truth(region))
        added.append(instance_sums(instances(region, prediction, 2)))
    total = {name: sum(sums[name] for sums in added) for name in added[0]}
    assert {name: value.item() for name, value in metric.compute().items()} == instance_figures(total)


def test_an_image_without_regions_adds_nothing() -> None:
    metric = InstanceScores()
    region, prediction = random_regions(0)
    metric.update(prediction, truth(0 * region))
    assert all(np.isnan(value.item()) for value in metric.compute().values())


def test_a_share_out_of_range_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"in \(0, 1\), found 2"):
        InstanceScores(boundary_share=2)
