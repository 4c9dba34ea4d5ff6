"""Builds the ends and choices of a search's space once, before anything runs."""

from collections.abc import Callable, Mapping
from typing import Any

from fusionseg.config.errors import UsageError
from fusionseg.config.type_names import nearest
from fusionseg.files.atomic import Json
from fusionseg.studies.identity import key_of, settings_of
from fusionseg.studies.search.declaration import Search
from fusionseg.studies.search.space import Parameter


def checked_space(search: Search, build: Callable[[Mapping[str, Any]], Json]) -> Json:
    """What comes of one point of the space, after every end and choice was built.

    Each value is built where all other parameters have their first one. Where that is a combination that
    cannot be, which a trial may be told, the value is built alone, and an error then is one of the value.

    Args:
        search: The search.
        build: What comes of settings, as from `Resolver`.

    Raises:
        UsageError: If a value cannot be used, a parameter changes nothing, or an objective is not logged.
    """
    corner = {one.key: one.values[0] for one in search.space}
    first = build(corner)
    points = [] if "error" in first else [first]
    for parameter in search.space:
        found = _along(parameter, corner, first, build)
        points += found
        keys = {key_of(settings_of(outcome["config"]), 0) for outcome in found}
        if len(found) == len(parameter.values) and len(keys) == 1:
            raise UsageError(
                "this parameter changes nothing: all its values make the same run",
                f"search.space.{parameter.key}",
            )
    logged = points[0]["figures"]
    for objective in search.objectives:
        if logged and objective.metric not in logged:
            raise UsageError(
                f"expected a figure that is logged{nearest(objective.metric, logged)}, found "
                f"{objective.metric!r}",
                "search.objectives",
            )
    return points[0]


def _along(
    parameter: Parameter, corner: Mapping[str, Any], first: Json, build: Callable[[Mapping[str, Any]], Json]
) -> list[Json]:
    """What comes of the values of one parameter that can be built at the corner, or else alone."""
    found = []
    for value in parameter.values:
        outcome = first if value is parameter.values[0] else build({**corner, parameter.key: value})
        if "error" in outcome:
            outcome = build({parameter.key: value})
        if "error" in outcome:
            raise UsageError(f"{value!r}: {outcome['error']}", f"search.space.{parameter.key}")
        found.append(outcome)
    return found
