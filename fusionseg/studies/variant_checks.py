"""Checks what came of the variants' command lines, before anything runs."""

from collections.abc import Mapping, Sequence

from fusionseg.config.errors import UsageError
from fusionseg.config.type_names import nearest
from fusionseg.files.atomic import Json
from fusionseg.studies.identity import key_of, settings_of
from fusionseg.studies.study_file import TASKS, Study


def check_variants(study: Study, found: Mapping[str, Json]) -> None:
    """Checks what came of the variants' command lines.

    Args:
        study: The study.
        found: What came of each variant's command line, as from `Resolver`.

    Raises:
        UsageError: If one cannot be built, two are the same, an axis changes nothing, the metric is none that
            they or the reference log, or a baseline is not of its task.
    """
    for name, outcome in found.items():
        if "error" in outcome:
            raise UsageError(f"variant {name!r}: {outcome['error']}")
    logged = {name: outcome["figures"] for name, outcome in found.items()}
    _check_metric(study, logged)
    _check_baselines(study, logged)
    settings = {name: settings_of(outcome["config"]) for name, outcome in found.items()}
    _check_axes(study, settings)
    by_key: dict[str, str] = {}
    for name in settings:
        twin = by_key.setdefault(key_of(settings[name], 0), name)
        if twin != name:
            raise UsageError(f"variants {twin!r} and {name!r} are the same run: leave one out", "variants")


def _check_metric(study: Study, logged: Mapping[str, Sequence[str]]) -> None:
    """Checks that the metric decides among some variants, of which one is the reference.

    Args:
        study: The study.
        logged: The figures that each variant logs; none where its model does not tell.
    """
    metric = study.metric
    every = list(dict.fromkeys(figure for figures in logged.values() for figure in figures))
    if logged and all(logged.values()) and metric not in every:
        raise UsageError(
            f"expected a figure that some variant logs{nearest(metric, every)}, found {metric!r}", "metric"
        )
    first = None if study.search else next(iter(logged), None)
    reference = study.reference or first
    own = logged.get(reference, ()) if reference else ()
    if own and metric not in own:
        raise UsageError(
            f"expected a figure that the reference {reference!r} logs{nearest(metric, own)}, found "
            f"{metric!r}: choose another one, or another `reference`",
            "metric",
        )


def _check_baselines(study: Study, logged: Mapping[str, Sequence[str]]) -> None:
    for task, name in study.baselines.items():
        figure = f"val/{TASKS[task]}"
        if logged.get(name) and figure not in logged[name]:
            raise UsageError(
                f"expected a variant that logs {figure}, found {name!r}, which is not trained on that task",
                f"baselines.{task}",
            )


def _check_axes(study: Study, settings: Mapping[str, Json]) -> None:
    grid = [variant for variant in study.variants if variant.point]
    for axis, values in study.axes.items():
        lines: dict[str, set[str]] = {}
        for variant in grid:
            others = str({name: value for name, value in variant.point.items() if name != axis})
            lines.setdefault(others, set()).add(key_of(settings[variant.name], 0))
        if len(values) > 1 and all(len(keys) == 1 for keys in lines.values()):
            raise UsageError("this axis changes nothing: all its values make the same run", f"axes.{axis}")
