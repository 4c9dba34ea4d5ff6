from collections.abc import Mapping

import pytest

from fusionseg.config.errors import UsageError
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.evaluation import suite_for
from fusionseg.heads import BoundaryHead, CenterOffsetHead, DepthHead, DistanceHead, Head, Range, SemanticHead
from fusionseg.metrics import MetricSuite
from fusionseg.tuning.plan import planned

CLASSES = SyntheticScenes.classes


@pytest.fixture
def both() -> dict[str, Head]:
    return {"semantic": SemanticHead(1, len(CLASSES)), "region": BoundaryHead(1, threshold=0.25)}


def suite(heads: Mapping[str, Head], **weights: float) -> MetricSuite:
    return suite_for(heads, {**dict.fromkeys(heads, 1.0), **weights}, CLASSES)


def measured(heads: dict[str, Head], metric: str) -> tuple[list[str], list[str], list[str]]:
    """The metrics of each trial, those that are measured once, and the tasks that are decoded once."""
    plan = planned(heads, suite(heads), metric)
    tried, fixed = ([type(metric).__name__ for metric in metrics] for metrics in (plan.tried, plan.fixed))
    return tried, fixed, plan.decoded_once


def test_only_what_a_figure_is_made_of_is_measured_and_what_does_not_change_once(
    both: dict[str, Head],
) -> None:
    assert measured(both, "val/covering") == (["RegionMetrics"], [], [])
    assert measured(both, "boundary_f") == (["BoundaryMetrics"], [], [])
    assert measured(both, "val/score") == (["RegionMetrics"], ["SemanticMetrics"], ["semantic"])
    assert measured(both, "pq") == (["PanopticQuality"], [], ["semantic"])
    assert measured(both, "miou_fused") == (["FusedMetrics"], [], ["semantic"])


def test_parameters_are_those_of_the_heads_that_the_figure_depends_on(both: dict[str, Head]) -> None:
    plan = planned(both, suite(both), "val/score")
    assert list(plan.ranges) == ["region.threshold", "region.min_area"]
    assert plan.own == {"region": {"threshold": 0.25, "min_area": 20}}
    seeds = planned({"region": DistanceHead(1, reach=8)}, suite({"region": DistanceHead(1)}), "covering")
    assert seeds.ranges["region.seed"] == Range(1.2, 7.2, log=True)


def test_the_threshold_of_two_classes_is_tuned_for_them_and_for_the_fusion() -> None:
    heads = {"semantic": SemanticHead(1, 2, binary=True), "region": BoundaryHead(1)}
    two = suite_for(heads, dict.fromkeys(heads, 1.0), SyntheticScenes.classes)
    assert list(planned(heads, two, "miou").ranges) == ["semantic.threshold"]
    assert list(planned(heads, two, "covering").own) == ["region"]
    assert list(planned(heads, two, "pq").own) == ["semantic", "region"]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("val/cover", r"^metric: no figure 'val/cover'; did you mean val/covering\?$"),
        ("test/covering", r"^metric: expected a validation figure such as val/score, found 'test/covering'$"),
        (
            "val/miou",
            r"^metric: val/miou does not depend on what can be tuned: region\.threshold, region\.min_",
        ),
    ],
)
def test_a_figure_that_cannot_be_tuned_is_refused(metric: str, message: str, both: dict[str, Head]) -> None:
    with pytest.raises(UsageError, match=message):
        planned(both, suite(both), metric)


def test_a_score_without_the_tuned_task_is_refused(both: dict[str, Head]) -> None:
    with pytest.raises(UsageError, match=r"^metric: val/score does not depend on what can be tuned"):
        planned(both, suite(both, region=0.0), "val/score")


def test_probabilities_get_a_temperature_also_where_nothing_else_is_tuned(both: dict[str, Head]) -> None:
    assert planned(both, suite(both), "val/score").calibrated == ("semantic", "region")
    assert planned(both, suite(both), "val/score").kept == ["region", "semantic"]
    heads: dict[str, Head] = {"semantic": SemanticHead(1, len(CLASSES)), "region": CenterOffsetHead(1)}
    plan = planned(heads, suite(heads), "val/covering")
    assert (plan.calibrated, plan.kept) == (("semantic",), ["region", "semantic"])
    alone = {"semantic": heads["semantic"]}
    plan = planned(alone, suite(alone), "val/score")
    assert (plan.calibrated, plan.kept, plan.ranges) == (("semantic",), ["semantic"], {})
    assert planned(both, suite(both), "val/score", temperature=False).kept == ["region"]


def test_heads_without_parameters_are_refused_where_no_temperature_is_wanted() -> None:
    heads: dict[str, Head] = {"semantic": SemanticHead(1, len(CLASSES)), "depth": DepthHead(1)}
    with pytest.raises(UsageError, match=r"^run: expected a head .* to tune, found SemanticHead, DepthHead$"):
        planned(heads, suite(heads), "val/score", temperature=False)
