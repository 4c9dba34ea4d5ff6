from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fusionseg.config.errors import UserError
from fusionseg.data import SyntheticScenes
from fusionseg.engine.fusion import panoptic
from fusionseg.files.matlab import drawn_boundaries, drawn_regions, segmentation
from fusionseg.metrics import (
    BoundaryBenchmark,
    BoundaryRules,
    InstanceScores,
    RegionBenchmark,
    SemanticBenchmark,
)
from fusionseg.metrics.benchmark_sums import boundary_benchmark_sums
from fusionseg.metrics.boundary_curve import boundary_counts, curve, even_thresholds, levels
from fusionseg.metrics.boundary_rules import BERKELEY
from fusionseg.metrics.edges import boundaries
from fusionseg.metrics.thinning import thinned
from fusionseg.sample import OFFSET, VOID, Classes, Prediction, Truth
from fusionseg.scores.kinds import boundaries as kinds
from fusionseg.scores.official import OfficialScores, official_sums

DATA = SyntheticScenes("val", length=3, size=(48, 64))


def scenes(soft: bool) -> Iterator[tuple[Prediction, Truth]]:
    """Predictions that are the truth of another image for the lower half, with soft boundaries or without."""
    import torch

    rng = np.random.default_rng(0)
    for i in range(3):
        truth = DATA.truth(i)
        other = DATA.truth((i + 1) % 3)
        semantic = truth.semantic.copy()
        region = truth.region.astype(np.int32)
        semantic[24:] = other.semantic[24:]
        region[24:] = other.region[24:] + 100
        semantic[semantic == VOID] = 0
        region[region % 100 == 0] = 1
        pair = torch.from_numpy(semantic).long()[None], torch.from_numpy(region).long()[None]
        ids = panoptic(*pair, DATA.classes.things, len(DATA.classes))[0].numpy()
        maps = {"semantic": semantic, "region": region, "panoptic": ids}
        if soft:
            maps["contours"] = rng.random(region.shape).astype(np.float32)
        yield Prediction(str(i), maps), truth


@pytest.mark.parametrize("soft", [False, True])
def test_figures_are_those_of_the_benchmarks_metrics(soft: bool) -> None:
    contours, regions = BoundaryBenchmark(9), RegionBenchmark(1)
    classes = SemanticBenchmark(len(DATA.classes))
    things = InstanceScores()
    with OfficialScores(DATA.classes, thresholds=9, jobs=2) as official:
        for prediction, truth in scenes(soft):
            official.add(prediction, truth)
            contours.update(prediction["contours" if soft else "region"], truth)
            regions.update(prediction["region"], truth)
            classes.update(prediction["semantic"], truth)
            true = np.where(np.isin(truth.semantic, DATA.classes.things), truth.region, 0)
            found = prediction["panoptic"]
            thing = np.isin(found // OFFSET, DATA.classes.things)
            things.update(np.where(thing, found, 0), Truth(truth.semantic, true))
        figures = official.figures()
    expected = {"boundaries": contours, "regions": regions, "semantic": classes, "instances": things}
    assert figures.keys() == expected.keys()
    for kind, metric in expected.items():
        known = {name: float(value) for name, value in metric.compute().items()}
        if kind == "regions":  # whose one threshold is another
            known = {name: value for name, value in known.items() if "threshold" not in name}
        assert known == {name: pytest.approx(figures[kind][name], nan_ok=True) for name in known}
        assert known


def test_what_is_not_predicted_or_labelled_is_not_scored() -> None:
    prediction, truth = next(scenes(False))
    everything = official_sums(prediction.maps, truth, DATA.classes, even_thresholds(3))
    assert set(everything) == {"boundaries", "regions", "semantic", "instances"}
    regions = {"region": prediction["region"]}
    assert set(official_sums(regions, truth, DATA.classes, even_thresholds(3))) == {"boundaries", "regions"}
    unlabelled = Truth(truth.semantic, np.zeros_like(truth.region), has_regions=False)
    assert set(official_sums(prediction.maps, unlabelled, DATA.classes, even_thresholds(3))) == {"semantic"}
    stuff = Classes(DATA.classes.names, DATA.classes.colors)
    assert "instances" not in official_sums(prediction.maps, truth, stuff, even_thresholds(3))


def test_an_error_of_a_process_is_raised_here() -> None:
    prediction, truth = next(scenes(False))
    small = Truth(truth.semantic[:8], truth.region[:8])
    with OfficialScores(DATA.classes, 3, jobs=1) as official:
        official.add(prediction, small)
        with pytest.raises(ValueError, match=r"shape|size"):
            official.figures()


def test_boundaries_of_regions_are_those_that_people_drew(data: Path) -> None:
    folder = data / "BSDS500"
    files = sorted((folder / "ucm2" / "test").glob("*.mat"))[:2]
    for file in files:
        label_file = folder / "data" / "groundTruth" / "test" / file.name
        regions = drawn_regions(label_file)
        strength = segmentation(file).ultrametric
        assert strength is not None
        soft = strength[2::2, 2::2]
        cuts = even_thresholds(5)
        truth = Truth(np.full(soft.shape, VOID), regions[0], others=tuple(regions[1:]))
        found = boundary_benchmark_sums(soft, truth, cuts, BERKELEY)["curve"]
        radius = 0.0075 * float(np.hypot(*soft.shape))
        drawn = boundary_counts(levels(soft, cuts), drawn_boundaries(label_file), radius)
        np.testing.assert_allclose(curve(found)[2], curve(drawn)[2], atol=2e-4)


@pytest.mark.parametrize("kind", [bool, np.float64])
def test_drawn_boundaries_are_boundaries_at_every_threshold(kind: type) -> None:
    regions = np.kron(np.array([[1, 2]]), np.ones((6, 5), np.int64))
    line = np.zeros(regions.shape, kind)
    line[:, 4] = 1
    truth = Truth(np.full(regions.shape, VOID), regions)
    found = boundary_benchmark_sums(line, truth, even_thresholds(3), BERKELEY)
    assert found["curve"].tolist() == [[6, 6, 6, 6]] * 3


@pytest.mark.parametrize("value", [np.nan, 200.0, -0.1])
def test_soft_maps_have_values_in_0_to_1(value: float) -> None:
    truth = Truth(np.full((3, 3), VOID), np.ones((3, 3), np.int64))
    with pytest.raises(UserError, match=r"a soft map of values in \[0, 1\], found"):
        BoundaryBenchmark(3).update(np.full((3, 3), value), truth)
    with pytest.raises(UserError, match=r"an ultrametric map of values in \[0, 1\], found"):
        RegionBenchmark(3).update(np.full((7, 7), value), truth)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_distance": 0.0}, r"max_distance in \(0, 1\)"),
        ({"max_pixels": -1.0}, "max_pixels of at least 0"),
    ],
)
def test_rules_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        BoundaryRules(**options)


def test_other_arguments_are_named() -> None:
    with pytest.raises(UserError, match="1 to 9999 thresholds, found 0"):
        BoundaryBenchmark(thresholds=0)
    with pytest.raises(UserError, match=r"expected rules of boundaries, found 0\.011"):
        BoundaryBenchmark(99, 0.011)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [np.float16, ">f4"])
def test_soft_maps_of_any_precision_are_scored(kind: str) -> None:
    truth = Truth(np.full((6, 10), VOID), np.kron(np.array([[1, 2]]), np.ones((6, 5), np.int64)))
    line = np.zeros((6, 10), kind)
    line[:, 4] = 1
    metric = BoundaryBenchmark(3)
    metric.update(line, truth)
    assert float(metric.compute()["ods"]) == 1


@pytest.mark.parametrize(
    "options", [{"nms": True}, {"thin": False}, {"max_pixels": 2.0}, {"max_distance": 0.03}]
)
def test_rules_of_boundaries_are_those_of_the_command(tmp_path: Path, options: dict[str, Any]) -> None:
    metric = BoundaryBenchmark(9, BoundaryRules(**options))
    folders = tmp_path / "true", tmp_path / "predicted"
    for folder in folders:
        folder.mkdir()
    for i, (_, truth) in enumerate(scenes(soft=True)):
        drawn = thinned(boundaries(truth.region, truth.region != 0)[None])[0]
        soft = cv2.GaussianBlur(drawn + np.random.default_rng(i).random(drawn.shape) / 9, (0, 0), 2)
        np.save(folders[0] / f"{i}.npy", drawn.astype(np.uint8))
        np.save(folders[1] / f"{i}.npy", soft)
        metric.update(soft, truth)
    expected = kinds.score(kinds.Options(*folders, thresholds=9, jobs=1, **options)).metrics
    found = metric.compute()
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, rel=1e-12)
    assert 0 < expected["crispness"] < 1
    plain = kinds.score(kinds.Options(*folders, thresholds=9, jobs=1)).metrics
    assert plain["ods"] != expected["ods"]


def test_what_the_figures_do_not_show_is_said() -> None:
    prediction, truth = next(scenes(False))
    maps = {**prediction.maps, "panoptic": prediction["panoptic"] * 0}
    maps.pop("contours", None)
    with OfficialScores(DATA.classes, 3, jobs=1) as official:
        official.add(Prediction("a", maps), truth)
        undefined, flat = official.notes()
    assert undefined == "official/instances: undefined, as there is nothing to count: boundary_iou"
    assert flat.startswith("official/boundaries: outlines of regions are the same")
