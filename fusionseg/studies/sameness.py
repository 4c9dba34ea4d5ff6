"""Whether a study file means what began in a folder: it may have grown, and nothing else."""

from collections.abc import Mapping
from pathlib import Path

from fusionseg.config.errors import UsageError
from fusionseg.files.atomic import Json
from fusionseg.studies.identity import differences
from fusionseg.studies.study_file import Study

FIXED = ("metric", "epoch", "budget")
"""What a study that has begun cannot change, beside its variants' settings."""


def check_same(study: Study, settings: Mapping[str, Json], base: Json, before: Json, path: Path) -> None:
    """Checks that a study is the one that began in a folder, grown at most.

    Args:
        study: The study.
        settings: The resolved settings of its variants.
        base: Those of its search at one point of the space; empty without a search.
        before: What the folder declares.
        path: The folder, for messages.

    Raises:
        UsageError: If it is another one; it names what differs.
    """
    for key in FIXED:
        now = study.declared()[key]
        if before[key] != now:
            raise UsageError(f"{before[key]!r} when the study in {path} began, {now!r} now", key)
    if any("trial" in variant for variant in before["variants"]):
        _check_search(study, base, before, path)
    for variant in before["variants"]:
        name = variant["name"]
        if "trial" in variant:
            continue
        if name not in settings:
            raise UsageError(
                f"variant {name!r} of the study in {path} is gone: keep it, or use another --out"
            )
        if changed := _listed(differences(variant["resolved"], settings[name])):
            raise UsageError(
                f"variant {name!r} is not what began in {path}: {changed}; name it otherwise, or use another "
                "--out"
            )
    if gone := sorted(set(before["seeds"]) - set(study.seeds)):
        raise UsageError(
            f"seed {gone[0]} of the study in {path} is gone: keep it, or use another --out", "seeds"
        )


def _check_search(study: Study, base: Json, before: Json, path: Path) -> None:
    if study.search is None:
        raise UsageError(f"that of the study in {path} is gone: keep it, or use another --out", "search")
    check_meaning(study.search.meaning(), before["search"], str(path))
    if list(study.seeds) != before["seeds"]:
        raise UsageError(
            f"{before['seeds']} when the search in {path} began, {list(study.seeds)} now, and a trial is "
            "scored by the mean over them: use another --out",
            "seeds",
        )
    if changed := _listed(differences(before["base"], base)):
        raise UsageError(
            f"the trials would not be what began in {path}: {changed}; use another --out or name", "search"
        )


def check_meaning(now: Json, before: Json, place: str) -> None:
    """Checks that a search means what it meant when it began.

    Args:
        now: `Search.meaning`, now.
        before: The same, when it began.
        place: Where it began, for messages.

    Raises:
        UsageError: If it means something else; it names the keys.
    """
    flat_now, flat_before = _flat(now), _flat(before)
    changed = [
        f"{key}: {flat_before.get(key)!r} before, {flat_now.get(key)!r} now"
        for key in {**flat_before, **flat_now}
        if flat_before.get(key) != flat_now.get(key)
    ]
    if changed:
        raise UsageError(
            f"not what began in {place}: {_listed(changed)}; keep it, or use another name for the study file",
            "search",
        )


def _flat(meaning: Json) -> Json:
    """The entries of a search by keys, those of its space too."""
    space = {f"space.{key}": value for key, value in meaning["space"].items()}
    return {**space, **{key: value for key, value in meaning.items() if key != "space"}}


def _listed(lines: list[str]) -> str:
    return "; ".join(lines[:3]) + (f" and {len(lines) - 3} more" if len(lines) > 3 else "")
