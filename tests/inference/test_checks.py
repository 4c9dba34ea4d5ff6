from typing import Any

import pytest
from torch import nn

from fusionseg.config.errors import UsageError
from fusionseg.heads import BoundaryHead, DistanceHead, SceneHead, SemanticHead
from fusionseg.inference.checks import check_asked


def model(*heads: Any) -> nn.Module:
    found = nn.Module()
    found.heads = {head.task: head for head in heads}  # type: ignore[assignment]
    return found


@pytest.mark.parametrize("name", ["probabilities", "entropy", "soft"])
def test_what_a_model_has_may_be_asked_for(name: str) -> None:
    check_asked(model(SemanticHead(4, 3), DistanceHead(4)), [name])
    check_asked(model(BoundaryHead(4)), ["soft"])
    check_asked(nn.Module(), [])


@pytest.mark.parametrize(
    ("heads", "name", "message"),
    [
        (
            [BoundaryHead(4)],
            "probabilities",
            "probabilities: expected a model of classes, found BoundaryHead: ",
        ),
        ([SceneHead(4, 3)], "entropy", "entropy: expected a model of classes, found SceneHead: leave it out"),
        ([DistanceHead(4)], "soft", "soft: expected a model of classes or boundaries, found DistanceHead"),
        ([], "soft", "found Module"),
    ],
)
def test_what_it_has_not_is_one_line(heads: list[Any], name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_asked(model(*heads), [name])
