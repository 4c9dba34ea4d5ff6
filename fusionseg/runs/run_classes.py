"""The classes of a run against those of the data that it is to work on."""

import inspect
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fusionseg.config.errors import UsageError, mapping
from fusionseg.files.state_dicts import WeightsError, tensors
from fusionseg.module import FusionModule
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.restore import stored_arguments
from fusionseg.sample import Classes

SHOWN = 5
"""Differences that a message lists."""


def classes_of(source: Path) -> Classes | None:
    """The classes that the model of a checkpoint or saved folder was trained on; None if it does not say."""
    stored = stored_arguments(source).get("classes")
    try:
        return Classes(**stored) if isinstance(stored, Mapping) else None
    except (TypeError, ValueError):  # of somebody else's model
        return None


def check_same_classes(data: Classes, expected: Classes, remedy: str) -> None:
    """Raises a UsageError that lists the differences, if there are some between two lists of classes.

    Args:
        data: The classes of the data.
        expected: Those of the run.
        remedy: What can be done, for the message.
    """
    if found := data.differences(expected):
        shown = "; ".join(found[:SHOWN]) + (f"; {len(found) - SHOWN} more" if len(found) > SHOWN else "")
        raise UsageError(f"expected the run's classes in the data, found others: {shown}; {remedy}")


def other_regions(data: Classes, expected: Classes, checkpoint: Path) -> str:
    """A line where a region of the data is something else than what a model learned; empty where it is not.

    Args:
        data: The classes of the data.
        expected: Those of the model.
        checkpoint: The model's, which has learned no regions if it has no head of them.
    """
    if data.region == expected.region or not _has_head(tensors(checkpoint), "region"):
        return ""
    return f"a region is `{data.region}` in the data, but `{expected.region}` in {checkpoint}"


def with_run_classes(data: Any, checkpoint: Path, names: Path | None) -> Classes:
    """The classes of data that are to be scored, which are those of the run.

    Where a region of the data is something else than in the run, a line says so.

    Args:
        data: A datamodule.
        checkpoint: A checkpoint of the run.
        names: A YAML file with the run's name for each class of the data that has another one there, null for
            void; with it the data are given the run's classes.

    Raises:
        UsageError: If the classes differ and there is no file, or the data cannot be given others.
    """
    expected = classes_of(checkpoint)
    if expected is None or not isinstance(data.classes, Classes):
        return data.classes  # type: ignore[no-any-return]
    if names is None:
        remedy = "choose other data, or score by names with --map-classes FILE"
        check_same_classes(data.classes, expected, f"{remedy} (the data's names: the run's)")
    else:
        _map_classes(data, expected, names)
    if line := other_regions(data.classes, expected, checkpoint):
        print(f"{line}: regions are scored by the data's labels", file=sys.stderr)
    return data.classes


def _map_classes(data: Any, expected: Classes, names: Path) -> None:
    """Gives data the classes of a run, by a file as in `with_run_classes`."""
    if not hasattr(data, "map_classes"):
        raise UsageError(
            f"expected data with map_classes(), but {type(data).__name__} has none", "map_classes"
        )
    own = data.classes
    new = mapping(names)
    if strange := [name for name in new.values() if not (name is None or isinstance(name, str))]:
        raise UsageError(f"{names}: expected names of the run's classes or null, found {strange[0]!r}")
    data.map_classes(expected, new)
    classes: Classes = data.classes
    for i, name in enumerate(own.names):
        other = new.get(name, name)
        if other is not None and (classes.names.index(other) in classes.things) != (i in own.things):
            print(f"{name} is {own.kind(i)} in the data, the run's {other} is not", file=sys.stderr)


def check_start(model: Any, weights: Path) -> None:
    """Checks that heads do not start with what they learned of the same classes in another order or kind.

    Where all classes are others, heads start with what was learned of those, and a line says so, as where a
    region is something else. Weights of unknown classes are not checked, and those of another number of
    classes, with which no head of classes can start, for their regions alone.

    Args:
        model: The model that is to be trained.
        weights: The run folder, checkpoint or saved folder that it starts from.

    Raises:
        UsageError: If some classes are the same, and others are not, or have other ids or are no things.
    """
    best = RunFolder(weights).best
    path = best if best.is_file() else weights
    expected = _own_classes(path)
    if expected is None or not isinstance(model, FusionModule):
        return
    if "region" in model.heads and (line := other_regions(model.classes, expected, path)):
        print(f"{line}: the region head starts with what fits of it", file=sys.stderr)
    if len(expected) != len(model.classes):
        return
    state = tensors(path)
    heads = [
        task
        for task, head in model.heads.items()
        if "num_classes" in inspect.signature(type(head)).parameters and _has_head(state, task)
    ]
    if not heads or not model.classes.differences(expected):
        return
    if set(model.classes.names) & set(expected.names):
        check_same_classes(
            model.classes,
            expected,
            f"give the data the order and the things of {path}, or other names to what means something else",
        )
    print(
        f"other classes in {path}: {', '.join(heads)} starts with what was learned of them", file=sys.stderr
    )


def _has_head(state: Mapping[str, Any], task: str) -> bool:
    """Whether a state dict of ours holds a head of a task."""
    return any(name.startswith(f"network.heads.{task}.") for name in state)


def _own_classes(path: Path) -> Classes | None:
    """The classes of a checkpoint or a saved folder of ours; None of weights of another project."""
    if path.suffix == ".ckpt":
        return classes_of(path)
    if path.is_dir():
        with suppress(WeightsError):
            return classes_of(path)
    return None
