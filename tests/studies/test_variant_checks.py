from dataclasses import replace
from typing import Any

import pytest
import yaml

from fusionseg.config.errors import UsageError
from fusionseg.studies.axes import Variant, crossed
from fusionseg.studies.study_file import Study
from fusionseg.studies.variant_checks import check_variants

STUDY = Study("s", (), (Variant("a", {}), Variant("b", {"model.beta": 2.0})), (0, 1))


def outcome(figures: list[str] | None = None, **changes: Any) -> dict[str, Any]:
    config = {"model": {"init_args": {"beta": 1.0, **changes}}}
    return {"config": yaml.safe_dump(config), "figures": ["val/score"] if figures is None else figures}


FOUND = {"a": outcome(), "b": outcome(beta=2.0)}


@pytest.mark.parametrize(
    ("study", "found", "message"),
    [
        (STUDY, {"a": outcome(), "b": outcome()}, "variants 'a' and 'b' are the same run"),
        (
            STUDY,
            {"a": outcome(), "b": {"error": "model.bta: no such setting"}},
            "variant 'b': model.bta: no such",
        ),
        (replace(STUDY, metric="val/scor"), FOUND, r"metric: .* some variant logs.*did you mean val/score"),
        (
            replace(STUDY, metric="val/covering"),
            {"a": outcome(), "b": outcome(["val/covering"], beta=2.0)},
            r"metric: expected a figure that the reference 'a' logs",
        ),
        (
            replace(STUDY, baselines={"semantic": "a", "region": "b"}),
            {"a": outcome(["val/score", "val/miou"]), "b": outcome(["val/score", "val/miou"], beta=2.0)},
            r"baselines.region: expected a variant that logs val/covering, found 'b', which is not trained",
        ),
    ],
)
def test_variants_that_cannot_be_compared_are_refused(study: Study, found: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_variants(study, found)


def test_an_axis_that_changes_nothing_is_refused_by_its_name() -> None:
    axes: dict[str, Any] = {"model.beta": [1.0, 2.0], "trainer.devices": [1, 2]}
    study = Study("s", (), tuple(crossed(axes, {})), (0,), axes=axes)
    found = {v.name: outcome(beta=v.settings["model.beta"]) for v in study.variants}
    with pytest.raises(UsageError, match=r"axes.trainer.devices: this axis changes nothing"):
        check_variants(study, found)


def test_a_metric_that_some_variants_log_decides_among_those() -> None:
    found = {"a": outcome(["val/pq", "val/score"]), "b": outcome(["val/score"], beta=2.0)}
    check_variants(replace(STUDY, metric="val/pq"), found)
    check_variants(
        replace(STUDY, metric="val/own"), {"a": outcome([]), "b": outcome(["val/score"], beta=2.0)}
    )


def test_baselines_of_their_tasks_are_taken() -> None:
    found = {"a": outcome(["val/score", "val/miou"]), "b": outcome(["val/score", "val/covering"], beta=2.0)}
    check_variants(replace(STUDY, baselines={"semantic": "a", "region": "b"}), found)
    check_variants(
        replace(STUDY, baselines={"semantic": "a", "region": "b"}), {**found, "b": outcome([], beta=2.0)}
    )
