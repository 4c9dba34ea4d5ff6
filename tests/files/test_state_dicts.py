import math
from pathlib import Path

import pytest
import torch

from fusionseg.files.state_dicts import not_finite, tensors

INFINITE = {
    "float": torch.tensor([1.0, math.inf]),
    "half": torch.tensor([-math.inf], dtype=torch.bfloat16),
}


def test_tensors_with_nan_or_infinity_are_named_in_order() -> None:
    state = {"fine": torch.ones(3), **INFINITE, "nan": torch.tensor([[0.0, math.nan]])}
    assert not_finite(state) == ["float", "half", "nan"]


def test_infinity_may_be_allowed_but_nan_never() -> None:
    state = {**INFINITE, "nan": torch.tensor([math.nan, math.inf])}
    assert not_finite(state, may_be_infinite=state) == ["nan"]
    assert not_finite(state, may_be_infinite={"half"}) == ["float", "nan"]


@pytest.mark.parametrize(
    "state",
    [{}, {"count": torch.tensor(3), "flag": torch.tensor(True), "text": "a"}, {"empty": torch.ones(0)}],
)
def test_what_is_no_floating_number_is_finite(state: dict[str, object]) -> None:
    assert not_finite(state) == []


@pytest.mark.parametrize("name", ["state_dict", "model", "module"])
def test_a_state_dict_is_found_within_a_checkpoint(name: str, tmp_path: Path) -> None:
    torch.save({name: {"model": torch.ones(2)}, "epoch": 3}, tmp_path / "checkpoint.pth")
    assert tensors(tmp_path / "checkpoint.pth")["model"].tolist() == [1, 1]
    torch.save({"model": torch.ones(3)}, tmp_path / "bare.pth")
    assert tensors(tmp_path / "bare.pth")["model"].tolist() == [1, 1, 1]
