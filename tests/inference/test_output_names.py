from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from fusionseg.config.errors import UserError
from fusionseg.config.trust import untrusted
from fusionseg.heads.query_decoder import QueryOutput
from fusionseg.heads.region_proposals import Anchored
from fusionseg.heads.region_rois import Detections, MaskRCNNOutput
from fusionseg.inference.output_names import named, names, rebuilding

A, B, C = (torch.full((1,), float(number)) for number in range(3))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (A, ["region"]),
        ([A, B], ["region.0", "region.1"]),
        ((A, {"far": B}), ["region.0", "region.1.far"]),
        (QueryOutput(A, B), ["region.masks", "region.classes"]),
        (
            MaskRCNNOutput(Anchored([], A, B), detections=Detections(A, B, C)),
            [f"region.{name}" for name in ("anchored.objectness", "anchored.deltas")]
            + [f"region.detections.{name}" for name in ("boxes", "scores", "masks")],
        ),
    ],
)
def test_an_output_is_rebuilt_from_its_named_tensors(output: Any, expected: list[str]) -> None:
    found = named("region", output)
    assert list(found.tensors) == names(found.structure) == expected
    with untrusted():
        assert rebuilding(found.structure)(found.tensors) == output


class Own(NamedTuple):
    one: Tensor


def test_a_named_tuple_of_a_package_that_is_not_trusted_is_not_imported() -> None:
    own = {"type": "somebody.Own", "parts": {"one": "region.one"}}
    with untrusted(), pytest.raises(UserError, match=r"somebody\.Own is of a package that is not trusted"):
        rebuilding(own)


@pytest.mark.parametrize("path", ["torch.load", "torch.nn.Linear", "fusionseg.heads.Head"])
def test_a_structure_calls_nothing_but_named_tuples(path: str) -> None:
    with untrusted(), pytest.raises(UserError, match=f"the class of a named tuple, found {path}"):
        rebuilding({"type": path, "parts": {}})


def test_what_holds_something_else_than_tensors_is_named() -> None:
    with pytest.raises(UserError, match=r"as the output region\.1, found int"):
        named("region", [A, 3])
