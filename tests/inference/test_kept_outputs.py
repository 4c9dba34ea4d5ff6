from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from fusionseg import Predictor
from fusionseg.config.errors import UserError
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.inference.kept_outputs import KeptOutputs


@pytest.fixture(scope="module")
def predictor(_trained: Path) -> Predictor:
    return Predictor(_trained, precision="32-true")


@pytest.fixture
def scene() -> np.ndarray:
    return SyntheticScenes("test", 1, (50, 70)).read(0).image


def test_what_is_decoded_is_the_predictor_s_answer_without_asking_the_network_again(
    predictor: Predictor, scene: np.ndarray
) -> None:
    expected = predictor(scene)
    kept = KeptOutputs(predictor, scene)
    calls: list[Any] = []
    handle = predictor.model.network.register_forward_hook(lambda *_: calls.append(1))
    answer = kept.answer()
    assert answer.maps.keys() == expected.maps.keys()
    for name, values in expected.maps.items():
        np.testing.assert_array_equal(answer.maps[name], values, err_msg=name)
    head = predictor.model.heads["region"]
    before = head.min_area
    head.set_decoding(min_area=2000)
    changed = kept.answer()
    assert not calls
    handle.remove()
    again = predictor(scene)
    head.set_decoding(min_area=before)
    np.testing.assert_array_equal(changed.region, again.region)
    assert changed.region.max() < answer.region.max()


def test_a_model_without_heads_is_refused(
    predictor: Predictor, scene: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "model", nn.Identity())
    with pytest.raises(UserError, match="expected a FusionModule, whose heads decode, found Identity"):
        KeptOutputs(predictor, scene)
