import io
from collections import Counter, OrderedDict, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fusionseg.config.errors import UserError
from fusionseg.runs.checkpoints import AtomicCheckpointIO
from fusionseg.runs.portable import portable


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        ({np.int64(1): [np.float64(2), (np.uint8(3), None)]}, {1: [2.0, (3, None)]}),
        (OrderedDict(a=np.float64(1)), OrderedDict(a=1.0)),
        (np.datetime64(3, "ns"), 3),
    ],
)
def test_numbers_of_numpy_become_those_of_python(value: Any, expected: Any) -> None:
    found = portable(value)
    assert found == expected
    assert repr(found) == repr(expected)
    content = io.BytesIO()
    torch.save(found, content)
    content.seek(0)
    assert torch.load(content, weights_only=True) == expected


def test_what_is_portable_is_the_same_object() -> None:
    state = {
        "a": torch.ones(2),
        "b": [1, (2.0, None)],
        "c": {"d": "e"},
        "f": {1},
        "g": torch.Size([1]),
        "h": torch.float32,
        "i": Counter("a"),
    }
    assert portable(state) is state


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(2),
        Path("a"),
        Decimal(1),
        defaultdict(int),
        object(),
        lambda: 0,
        np.longdouble(1),
    ],
)
def test_what_only_code_can_rebuild_is_named(value: object) -> None:
    name = type(value).__qualname__
    with pytest.raises(
        UserError, match=rf"found a \S*{name} in callbacks.Mine.best.1, which only code can rebuild"
    ):
        portable({"callbacks": {"Mine": {"best": [0, value]}}})


def test_a_checkpoint_with_numbers_of_numpy_can_be_read(tmp_path: Path) -> None:
    files, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    files.save_checkpoint({"state_dict": {}, "callbacks": {"Mine": {"best": np.float64(0.5)}}}, path)
    assert files.load_checkpoint(path)["callbacks"] == {"Mine": {"best": 0.5}}
    with pytest.raises(UserError, match=r"numpy.ndarray in callbacks.Mine.best"):
        files.save_checkpoint({"state_dict": {}, "callbacks": {"Mine": {"best": np.zeros(1)}}}, path)
    assert files.load_checkpoint(path)["callbacks"] == {"Mine": {"best": 0.5}}
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("value", [np.datetime64("2026-01-01"), np.timedelta64(3, "D")])
def test_dates_of_numpy_are_named(value: np.generic) -> None:
    with pytest.raises(UserError, match=r"found a datetime\.\w+ in when, which only code can rebuild"):
        portable({"when": value})
