"""Which packages of the user's own a study names, so that its runs may be resumed and evaluated."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from fusionseg.config.trust import PACKAGES
from fusionseg.studies.plan import Plan

DOTTED = re.compile(r"([^\W\d]\w*)(\.[^\W\d]\w*)+")
"""The path of a class or function."""


def own_packages(plan: Plan) -> list[str]:
    """The packages beside `PACKAGES` that the study file names; what lies in run folders is not asked."""
    configs = [yaml.safe_load(text) for text in (*plan.configs.values(), plan.point.get("config") or "{}")]
    choices = [one.values for one in plan.study.search.space] if plan.study.search else []
    paths = map(DOTTED.fullmatch, _texts([configs, choices]))
    return sorted({path[1] for path in paths if path} - {*PACKAGES})


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        yield from _texts(tree.values())
    elif isinstance(tree, Iterable):
        for inner in tree:
            yield from _texts(inner)
