import random

from fusionseg.studies.search.importance import importances

SEARCH = {
    "space": {"model.beta": {"low": 0.1, "high": 4}, "model.balancer": ["Sum", {"class_path": "PCGrad"}]},
    "objectives": [{"metric": "val/score", "direction": "maximize"}],
}


def test_the_parameter_that_decides_is_the_important_one() -> None:
    chance = random.Random(0)
    names = ["Sum", "{class_path: PCGrad}"]
    points = [
        {"model.beta": chance.uniform(0.1, 4), "model.balancer": chance.choice(names)} for _ in range(40)
    ]
    found = importances(SEARCH, points, [-abs(point["model.beta"] - 1) for point in points])
    assert list(found) == ["model.beta", "model.balancer"]
    assert found["model.beta"] > 0.8


def test_few_trials_and_single_parameters_have_none() -> None:
    assert importances(SEARCH, [], []) == {}
    one = {**SEARCH, "space": {"model.beta": {"low": 0.1, "high": 4}}}
    assert importances(one, [{"model.beta": 1.0 + i / 10} for i in range(20)], [0.5] * 20) == {}
