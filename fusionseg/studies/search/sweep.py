"""The W&B sweep that is equal to a search, where there is one."""

from typing import Any

import yaml

from fusionseg.config.errors import UsageError
from fusionseg.files.atomic import Json, write_text
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.plan import Plan
from fusionseg.studies.search.declaration import Search
from fusionseg.studies.search.space import Choice, Parameter
from fusionseg.studies.sweep import COMMAND

METHODS = {"RandomSampler": "random", "TPESampler": "bayes", "GPSampler": "bayes"}
MOST = 100
"""So many values of a range with steps are listed, which is how W&B keeps both ends."""

HEADER = """\
# wandb sweep FILE, then wandb agent with the id that it prints, on as many machines as you like. W&B draws
# the trials itself, from the same space; it resumes none.
"""


def search_sweep(plan: Plan, folder: StudyFolder) -> str:
    """The sweep as YAML; writes the configuration that all of its runs begin with.

    Raises:
        UsageError: If W&B has no sweep that is equal; it says why.
    """
    search = plan.study.search
    assert search is not None
    if reason := _obstacle(plan, search):
        raise UsageError(f"W&B has no equal sweep: {reason}", "wandb-sweep")
    path = folder.variant(plan.study.name)
    write_text(path, plan.point["config"])
    [objective] = search.objectives
    [seed] = plan.study.seeds
    content = {
        "program": "fusionseg.fit",
        "method": METHODS[search.sampler.name],
        "name": plan.study.name,
        "run_cap": search.trials,
        "metric": {"name": objective.metric, "goal": objective.direction},
        "parameters": {one.key: _parameter(one) for one in search.space},
        "command": [*COMMAND[:-1], "--config", str(path.resolve()), f"--seed_everything={seed}", COMMAND[-1]],
    }
    return HEADER + yaml.safe_dump(content, sort_keys=False)


def _obstacle(plan: Plan, search: Search) -> str:
    """Why there is no equal sweep; empty if there is one."""
    if plan.study.variants:
        return "the study has variants beside its search"
    if len(search.objectives) > 1:
        return "a sweep has one metric, and the search 2 objectives"
    if len(plan.study.seeds) > 1:
        return "a sweep has no mean over seeds"
    if search.pruner:
        return "it prunes by Hyperband alone, on figures that it gets from the run"
    if search.sampler.name not in METHODS:
        return f"it has no {search.sampler.name}"
    for one in search.space:
        if isinstance(one, Choice) and one.labels != one.values:
            return f"{one.key} has choices that are no plain values"
    return ""


def _parameter(one: Parameter) -> Json:
    if isinstance(one, Choice):
        return {"values": one.values}
    ends: dict[str, Any] = {"min": one.low, "max": one.high}
    if one.step is not None and (one.high - one.low) / one.step < MOST:
        number = int((one.high - one.low) / one.step + 1e-9)
        return {"values": [one.low + i * one.step for i in range(number + 1)]}
    if one.log:
        return {"distribution": "q_log_uniform_values" if one.whole else "log_uniform_values", **ends}
    return {"distribution": "int_uniform" if one.whole else "uniform", **ends}
