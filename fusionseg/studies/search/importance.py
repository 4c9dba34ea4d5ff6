"""How much each parameter of a search decides whether a trial is among the best."""

from collections.abc import Mapping, Sequence
from typing import Any

from fusionseg.files.atomic import Json
from fusionseg.studies.search.samplers import quiet
from fusionseg.studies.search.space import parameter

LEAST = 10
"""So many trials make an importance worth showing."""

TOP = 5
"""So many trials at least are the best ones."""


def importances(
    search: Json, points: Sequence[Mapping[str, Any]], values: Sequence[float]
) -> dict[str, float]:
    """The importance of each parameter after PED-ANOVA (arXiv:2304.10255), largest first; they sum to 1.

    Args:
        search: What a study declares of its search.
        points: The parameters of each complete trial, as Optuna knows them.
        values: The first objective of each.

    Returns:
        Nothing where there are too few trials, or one parameter.

    Raises:
        ImportError: If Optuna is missing.
    """
    import optuna

    if len(points) < LEAST or len(search["space"]) < 2:
        return {}
    distributions = {key: parameter(key, given).distribution() for key, given in search["space"].items()}
    with quiet():
        study = optuna.create_study(direction=search["objectives"][0]["direction"])
        study.add_trials(
            optuna.create_trial(params=dict(point), distributions=distributions, value=value)
            for point, value in zip(points, values, strict=True)
        )
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=best_share(len(points)))
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def best_share(number: int) -> float:
    """The share of the trials that count as the best: a tenth, and 5 of them at least."""
    return max(0.1, TOP / number)
