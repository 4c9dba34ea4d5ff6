from pathlib import Path

import pytest

from fusionseg.config.errors import UserError
from fusionseg.engine.decoding import decode_with
from fusionseg.heads import BoundaryHead, DistanceHead


def test_heads_decode_with_the_parameters() -> None:
    head = BoundaryHead(1)
    decode_with({"region": head}, {"region": {"threshold": 0.25, "min_area": 3}}, "a.json")
    assert (head.threshold, head.min_area) == (0.25, 3)


def test_a_head_keeps_its_parameters_where_one_of_several_is_refused() -> None:
    head = DistanceHead(1)
    with pytest.raises(UserError, match=r"a\.json: region: expected seed in \[1\.2, 16\), found 16"):
        decode_with({"region": head}, {"region": {"min_area": 5, "seed": 16}}, Path("a.json"))
    assert (head.seed, head.min_area) == (4.0, 20)


def test_a_head_that_is_missing_is_named() -> None:
    with pytest.raises(UserError, match=r"a\.json: expected a head of depth, found heads of nothing"):
        decode_with({}, {"depth": {"threshold": 0.5}}, "a.json")
