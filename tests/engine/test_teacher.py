"""Whose outputs can be compared."""

from functools import partial
from typing import Any

import pytest

from fusionseg.config.errors import UsageError
from fusionseg.engine.teacher import Teacher, task_weights
from fusionseg.heads import (
    AffinityHead,
    BoundaryHead,
    CenterOffsetHead,
    ClassifierHead,
    DepthHead,
    DisparityHead,
    DistanceHead,
    OffsetHead,
    SceneHead,
    SemanticHead,
    TrinaryHead,
)

STEPS = [(0, 1), (1, 0)]
OPTIONS: list[tuple[Any, str, Any, Any]] = [
    (DepthHead, "scale", 1.0, 10.0),
    (DisparityHead, "scale", 1.0, 8.0),
    (OffsetHead, "scale", 1.0, 32.0),
    (DistanceHead, "reach", 16, 32),
    (AffinityHead, "offsets", [*STEPS, (0, 3)], [*STEPS, (3, 0)]),
    (partial(SceneHead, num_classes=3), "single", True, False),
    (partial(ClassifierHead, num_classes=3), "single", True, False),
    (partial(SemanticHead, num_classes=2), "binary", True, False),
    (BoundaryHead, "width", 2, 4),
    (CenterOffsetHead, "sigma", 8.0, 4.0),
    (TrinaryHead, "width", 2, 4),
    (TrinaryHead, "background", 0, None),
]
IDS = [f"{getattr(head, 'func', head).__name__}.{option}" for head, option, *_ in OPTIONS]


@pytest.mark.parametrize(("head", "option", "own", "theirs"), OPTIONS, ids=IDS)
def test_an_option_by_which_outputs_differ_in_meaning_is_the_teacher_s(
    head: Any, option: str, own: Any, theirs: Any
) -> None:
    width = [8] if getattr(head, "func", head) is ClassifierHead else 8
    student, same, other = (head(width, **{option: value}) for value in (own, own, theirs))
    task = student.task
    assert task_weights(Teacher("run", 0.5), {task: student}, {task: same}) == {task: 0.5}
    with pytest.raises(UsageError) as error:
        task_weights(Teacher("run"), {task: student}, {task: other})
    assert f"expected {option} {own} of the head for {task} as in this model, found {theirs} in run" in str(
        error.value
    )
    assert "\n" not in str(error.value)
    features = Teacher("run", 0.0, features=1.0)
    assert task_weights(features, {task: student}, {task: other}) == {}
