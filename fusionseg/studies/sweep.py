"""The W&B sweep that is equal to a study."""

import yaml

from fusionseg.files.atomic import write_text
from fusionseg.metrics.directions import lower_is_better
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.plan import Plan

HEADER = """\
# wandb sweep FILE, then wandb agent with the id that it prints, on as many machines as you like. It starts
# the runs of a study, resumes none and measures no spread over seeds. A variant is a file, because only there
# types survive.
"""

COMMAND = ["${env}", "${interpreter}", "-m", "fusionseg.fit", "${args}"]


def sweep(plan: Plan, folder: StudyFolder) -> str:
    """The sweep as YAML, a grid of variants and seeds; writes the configurations of the variants."""
    files = []
    for variant, config in plan.configs.items():
        path = folder.variant(variant)
        write_text(path, config)
        files.append(str(path.resolve()))
    goal = "minimize" if lower_is_better(plan.study.metric) else "maximize"
    content = {
        "program": "fusionseg.fit",
        "method": "grid",
        "name": plan.study.name,
        "metric": {"name": plan.study.metric, "goal": goal},
        "parameters": {"config": {"values": files}, "seed_everything": {"values": list(plan.study.seeds)}},
        "command": COMMAND,
    }
    return HEADER + yaml.safe_dump(content, sort_keys=False)
