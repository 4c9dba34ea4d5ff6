import pytest

from fusionseg.config.errors import UsageError
from fusionseg.studies.axes import computed, crossed


def test_a_grid_has_every_combination_once() -> None:
    variants = crossed({"model.alpha": [0.5, 1], "model.beta": [1, 2, 4]}, {})
    points = {(v.settings["model.alpha"], v.settings["model.beta"]) for v in variants}
    assert points == {(a, b) for a in (0.5, 1) for b in (1, 2, 4)}
    assert len({variant.name for variant in variants}) == 6


def test_formulas_turn_factors_into_settings() -> None:
    formulas = {"model.alpha": "scale * ratio / (1 + ratio)", "model.beta": "scale / (1 + ratio)"}
    variants = crossed({"ratio": [0.25, 4], "scale": [0.5, 2]}, formulas)
    for variant in variants:
        alpha, beta = variant.settings["model.alpha"], variant.settings["model.beta"]
        assert alpha / beta == pytest.approx(variant.point["ratio"])
        assert alpha + beta == pytest.approx(variant.point["scale"])
        assert set(variant.settings) == {"model.alpha", "model.beta"}


def test_values_may_be_classes_with_arguments() -> None:
    [variant] = crossed({"model.balancer": [{"class_path": "a.b.PCGrad", "init_args": {}}]}, {})
    assert variant.name == "balancer=PCGrad"


@pytest.mark.parametrize(
    ("formula", "value"), [("2 * -a ** 2", -18.0), ("(a - 1) / 4", 0.5), ("1e-3 + a", 3.001)]
)
def test_formulas_are_arithmetic(formula: str, value: float) -> None:
    assert computed(formula, {"a": 3.0}) == pytest.approx(value)


@pytest.mark.parametrize(
    "formula", ["__import__('os')", "a.b", "a if a else 1", "b + 1", "1 / 0", "a +", "[1]"]
)
def test_nothing_but_arithmetic_is_evaluated(formula: str) -> None:
    with pytest.raises(UsageError, match=r"formula|compute"):
        computed(formula, {"a": 3.0}, "model.beta")


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"ratio": [1, 2]}, r"axes.ratio: expected a setting .* or a factor"),
        ({"model.beta": []}, r"axes.model.beta: expected a list of values"),
        ({"model.beta": [1, 1]}, r"axes.model.beta: expected values that differ"),
        ({"model.beta": 3}, r"axes.model.beta: expected a list of values"),
        (
            {"a.b": [{"class_path": "x.UW", "init_args": {"a": a}} for a in (1, 2)]},
            r"axes.a.b: expected values by names, .* as 'UW' would be the name of several",
        ),
    ],
)
def test_an_axis_that_is_none_is_refused(axes: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        crossed(axes, {})
