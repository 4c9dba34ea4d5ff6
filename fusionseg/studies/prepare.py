"""From a study file to a plan: every variant is parsed and built once before anything runs."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from fusionseg.files.atomic import Json
from fusionseg.studies.axes import Variant
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.plan import Plan, arguments, common_precision, planned
from fusionseg.studies.resolve import Resolver
from fusionseg.studies.search.checks import checked_space
from fusionseg.studies.search.samplers import check_parts
from fusionseg.studies.speed import steps_within
from fusionseg.studies.study_file import Study, read_study
from fusionseg.studies.variant_checks import check_variants


def prepared(
    file: Path,
    folder: StudyFolder,
    report: Callable[[str], None],
    resolver: Resolver,
    settings: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan of a study.

    Args:
        file: The study file.
        folder: Where it runs, which may hold what it did before.
        report: Called with a line before each thing that takes long.
        resolver: Says what comes of a command line.
        settings: What all runs set beside what the file says.

    Raises:
        UsageError: If a variant cannot be built, the file is no sensible study, or not the one that began in
            the folder.
    """
    study = read_study(file, settings)
    if study.search:
        check_parts(study.search)
    before = folder.declared(study.name) if study.name in folder.names() else {}
    if before and not study.precision:
        study = replace(study, precision=before["precision"])
    if study.variants:
        report(f"building {len(study.variants)} variants once")
    found = _resolved(study, {}, resolver)
    check_variants(study, found)
    point = _point(study, report, resolver) if study.search else None
    if not study.precision:
        study = replace(
            study, precision=common_precision({**found, **({"the search": point} if point else {})})
        )
        resolver.close()  # it may have opened a GPU to ask for its precision, and would hold it
    steps = dict(before.get("budget_steps", {}))
    if minutes := study.budget.get("minutes"):
        for variant in study.variants:
            if variant.name not in steps:
                said = partial(report, f"{variant.name}: measuring how long its steps take, alone")
                steps[variant.name] = steps_within(
                    arguments(study, variant), found[variant.name]["config"], minutes, folder, said
                )
        found = _resolved(study, steps, resolver)
        check_variants(study, found)
    return planned(study, found, steps, folder, point)


def _resolved(study: Study, steps: Mapping[str, int], resolver: Resolver) -> dict[str, Json]:
    commands = [arguments(study, variant, steps.get(variant.name)) for variant in study.variants]
    outcomes = resolver(commands)
    return {variant.name: outcome for variant, outcome in zip(study.variants, outcomes, strict=True)}


def _point(study: Study, report: Callable[[str], None], resolver: Resolver) -> Json:
    """What comes of one point of a search's space, all ends and choices of which are built once."""
    assert study.search is not None
    report(f"building the ends and choices of {len(study.search.space)} parameters once")

    def build(settings: Mapping[str, Any]) -> Json:
        [outcome] = resolver([arguments(study, Variant("", settings))])
        return outcome

    return checked_space(study.search, build)
