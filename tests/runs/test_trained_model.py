"""A model from a run folder, a checkpoint and a saved folder answers the same, to the last bit."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from fusionseg import Predictor
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.predictions import EXTRAS
from fusionseg.files.state_dicts import WeightsError
from fusionseg.inference.answer import Answer
from fusionseg.inference.inputs import NamedPhoto
from fusionseg.runs.decoder import Decoder, digest
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.sharing import shareable
from fusionseg.runs.trained_model import trained_model


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    return SyntheticScenes("test", 1, (50, 70)).read(0).image


def answered(source: Path, scene: np.ndarray, precision: str = "32-true", **options: bool) -> Answer:
    [answer] = Predictor(source, precision=precision, **options).answers([NamedPhoto("a", scene)], EXTRAS)
    return answer


def same(one: Answer, other: Answer) -> bool:
    return one.maps.keys() == other.maps.keys() and all(
        (one.maps[k] == other.maps[k]).all() for k in one.maps
    )


def tune(run: Path) -> Decoder:
    """Gives a run a decoder that changes its answers."""
    folder = RunFolder(run)
    decoder = Decoder(
        parameters={"region": {"threshold": 0.4, "min_area": 1}},
        untuned={"region": {"threshold": 0.5, "min_area": 20}},
        metric="val/covering",
        before={"covering": 0.4},
        after={"covering": 0.5},
        images=8,
        trials=3,
        seed=0,
        checkpoint="best",
        digest=digest(folder.best),
    )
    decoder.write(folder)
    return decoder


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_saved_folder_answers_as_its_run(precision: str, trained: Path, scene: np.ndarray) -> None:
    shareable(trained).save_pretrained(trained / "saved")
    assert same(answered(trained / "saved", scene, precision), answered(trained, scene, precision))


@pytest.mark.slow
def test_a_tuned_run_is_tuned_in_its_saved_folder(trained: Path, scene: np.ndarray) -> None:
    untuned = answered(trained, scene)
    decoder = tune(trained)
    shareable(trained).save_pretrained(trained / "saved")
    tuned = answered(trained, scene)
    assert not same(tuned, untuned)
    assert same(answered(trained / "saved", scene), tuned)
    assert same(answered(trained / "saved", scene, untuned=True), untuned)
    predictor = Predictor(trained / "saved")
    assert predictor.decoder == decoder
    assert predictor.settings["decoder"] == decoder.record
    files = ("model.safetensors", "config.json")
    assert predictor.settings["checkpoint"] == " ".join(digest(trained / "saved" / file) for file in files)


@pytest.mark.slow
def test_a_tuned_decoder_may_be_left_out(trained: Path, scene: np.ndarray) -> None:
    untuned = answered(trained, scene)
    tune(trained)
    shareable(trained, untuned=True).save_pretrained(trained / "saved")
    assert same(answered(trained / "saved", scene), untuned)
    assert Predictor(trained / "saved").decoder is None


@pytest.mark.slow
def test_how_images_were_seen_in_training_is_kept(trained: Path) -> None:
    model = shareable(trained)
    assert model.inference is not None
    model.inference |= {"scale": 0.5, "value_range": [0.0, 9.0]}
    model.save_pretrained(trained / "saved")
    assert trained_model(trained / "saved").data["scale"] == 0.5
    settings = Predictor(trained / "saved").settings
    assert (settings["scale"], settings["value_range"]) == (0.5, [0.0, 9.0])
    precision = json.loads((trained / "summary.json").read_text())["precision"]
    assert trained_model(trained / "saved").data["precision"] == precision


@pytest.mark.slow
def test_a_run_folder_is_a_run_whatever_else_lies_in_it(trained: Path) -> None:
    shareable(trained).save_pretrained(trained)
    assert trained_model(trained).file == trained / "checkpoints" / "best.ckpt"


@pytest.mark.slow
def test_a_class_that_is_not_trusted_is_not_imported(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_shared.py").write_text(
        "from fusionseg.module import FusionModule\nclass Own(FusionModule): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    shareable(trained).save_pretrained(trained / "saved")
    path = trained / "saved" / "config.json"
    original = path.read_text()
    path.write_text(original.replace('"fusionseg.FusionModule"', '"own_shared.Own"'))
    with pytest.raises(WeightsError, match=r"saved: .*own_shared\.Own is of a package .*--trust own_shared"):
        trained_model(path.parent)
    assert "own_shared" not in sys.modules
    assert type(trained_model(path.parent, trust=["own_shared"]).model).__name__ == "Own"
    sys.modules.pop("own_shared")
    path.write_text(original.replace('"fusionseg.FusionModule"', '"torch.nn.Linear"'))
    with pytest.raises(WeightsError, match="expected a subclass of HubModule"):
        trained_model(path.parent)


@pytest.mark.slow
def test_a_record_of_a_decoder_that_is_something_else_is_one_line(trained: Path) -> None:
    shareable(trained).save_pretrained(trained / "saved")
    path = trained / "saved" / "config.json"
    path.write_text(path.read_text().replace('"decoder": null', '"decoder": {"parameters": 7}'))
    with pytest.raises(ValueError, match=r"config\.json: expected what `fusionseg tune` writes") as raised:
        trained_model(path.parent)
    assert "\n" not in str(raised.value)
