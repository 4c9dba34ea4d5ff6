"""From a study file to a plan: every variant is parsed and built once before anything runs."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fusionseg.files.atomic import Json
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.plan import Plan, arguments, checked, common_precision, planned
from fusionseg.studies.resolve import resolved
from fusionseg.studies.speed import steps_within
from fusionseg.studies.study_file import Study, read_study


def prepared(
    file: Path, folder: StudyFolder, report: Callable[[str], None], settings: Mapping[str, Any] | None = None
) -> Plan:
    """The plan of a study.

    Args:
        file: The study file.
        folder: Where it runs, which may hold what it did before.
        report: Called with a line before each thing that takes long.
        settings: What all runs set beside what the file says.

    Raises:
        UsageError: If a variant cannot be built, the file is no sensible study, or not the one that began in
            the folder.
    """
    study = read_study(file, settings)
    before = folder.declared(study.name) if study.name in folder.names() else {}
    if before and not study.precision:
        study = replace(study, precision=before["precision"])
    report(f"building {len(study.variants)} variants once")
    found = _resolved(study, {})
    checked(study, found)
    if not study.precision:
        study = replace(study, precision=common_precision(found))
    steps = dict(before.get("budget_steps", {}))
    if minutes := study.budget.get("minutes"):
        for variant in study.variants:
            if variant.name not in steps:
                report(f"{variant.name}: measuring how long its steps take, alone")
                steps[variant.name] = steps_within(arguments(study, variant), minutes)
        found = _resolved(study, steps)
        checked(study, found)
    return planned(study, found, steps, folder)


def _resolved(study: Study, steps: Mapping[str, int]) -> dict[str, Json]:
    commands = [arguments(study, variant, steps.get(variant.name)) for variant in study.variants]
    outcomes = resolved(commands)
    return {variant.name: outcome for variant, outcome in zip(study.variants, outcomes, strict=True)}
