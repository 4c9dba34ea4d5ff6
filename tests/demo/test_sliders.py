from typing import Any

import pytest

from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.demo.sliders import Slider, parameters, sliders
from fusionseg.engine.decoding import decode_with
from fusionseg.heads import (
    AffinityHead,
    BoundaryHead,
    CenterOffsetHead,
    DistanceHead,
    EmbeddingHead,
    SemanticHead,
)
from fusionseg.heads.base import Head

HEADS: list[Any] = [AffinityHead, BoundaryHead, CenterOffsetHead, DistanceHead, EmbeddingHead]


@pytest.mark.parametrize("head", HEADS)
def test_a_head_has_a_slider_for_whatever_can_be_tuned(head: Any) -> None:
    made: Head = head(4)
    found = sliders({"region": made})
    assert [one.name for one in found] == list(made.tunable)
    for one in found:
        assert one.low <= one.value <= one.high
        assert 0 < one.step <= (one.high - one.low) / 20
        assert one.value == getattr(made, one.name)
    decode_with({"region": made}, parameters(found, [one.value for one in found]), "the sliders")
    for one in found:
        assert getattr(made, one.name) == pytest.approx(one.value)


def test_a_value_beyond_the_range_of_tuning_can_be_reached() -> None:
    [_, area] = sliders({"region": BoundaryHead(4, min_area=9000)})
    assert (area.low, area.high, area.value, area.step) == (1, 9000, 9000, 1)
    [_, area] = sliders({"region": BoundaryHead(4, min_area=0)})
    assert area.low == 0


def test_whole_numbers_stay_whole() -> None:
    head = BoundaryHead(4)
    found = sliders({"semantic": SemanticHead(4, len(SyntheticScenes.classes)), "region": head})
    values = parameters(found, [0.25, 30.0])
    assert values == {"region": {"threshold": 0.25, "min_area": 30}}
    assert isinstance(values["region"]["min_area"], int)
    assert found[1].label == "region: min area"
    assert found[0] == Slider("region", "threshold", 0.02, 0.98, 0.01, head.threshold)


def test_a_model_without_a_decoding_has_no_slider() -> None:
    assert sliders({"semantic": SemanticHead(4, 3)}) == []
    assert parameters([], []) == {}
