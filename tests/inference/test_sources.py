import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from fusionseg import Predictor
from fusionseg.commands import predict
from fusionseg.config.errors import UsageError, UserError
from fusionseg.data.samples import EvaluationSamples
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.inference.inputs import NamedPhoto
from fusionseg.inference.windows import Windows


def changed(run: Path, copy: Path, noise: float = 0.0, **data: Any) -> Path:
    """A copy of a run with other weights, or other arguments of its data."""
    shutil.copytree(run, copy)
    file = copy / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    for name, value in content["state_dict"].items():
        if value.is_floating_point() and "running" not in name:
            content["state_dict"][name] = value + noise * torch.randn_like(value)
    content["datamodule_hyper_parameters"] |= data
    torch.save(content, file)
    return copy


@pytest.fixture
def pair(trained: Path, tmp_path: Path) -> list[Path]:
    return [trained, changed(trained, tmp_path / "other", noise=0.05)]


@pytest.fixture
def scene() -> np.ndarray:
    return SyntheticScenes("test", 1, (64, 64)).read(0).image


@pytest.mark.slow
def test_several_runs_answer_by_their_mean_probabilities(pair: list[Path], scene: np.ndarray) -> None:
    together = Predictor(pair, precision="32-true")(scene, probabilities=True, entropy=True)
    alone = [Predictor(run, precision="32-true")(scene, probabilities=True) for run in pair]
    assert not np.allclose(alone[0].probabilities, alone[1].probabilities, atol=0.01)
    mean = (alone[0].probabilities + alone[1].probabilities) / 2
    np.testing.assert_allclose(together.probabilities, mean, atol=0.02)
    p = together.probabilities.astype(float)
    np.testing.assert_allclose(together.entropy, -(p * np.log(p)).sum(0), rtol=1e-4, atol=1e-6)
    with pytest.raises(AttributeError, match="ask for entropy=True"):
        _ = alone[0].entropy


@pytest.mark.slow
def test_tuned_decoders_are_of_single_runs(pair: list[Path], scene: np.ndarray) -> None:
    (pair[0] / "decoder.yaml").write_text(yaml.safe_dump({"damaged": True}))
    ensemble = Predictor(pair)
    assert ensemble.decoder is None
    assert ensemble.notice == "tuned decoders and temperatures are of single runs: left out for several"
    assert Predictor(pair, untuned=True).notice == ""
    with pytest.raises(UserError, match=r"decoder\.yaml"):
        Predictor(pair[0])


@pytest.mark.slow
@pytest.mark.parametrize(("resize", "seen"), [([96, 64], (96, 64)), (80, (40, 80))])
def test_images_have_the_size_of_the_training_unless_a_scale_is_given(
    resize: Any, seen: tuple[int, int], trained: Path, tmp_path: Path
) -> None:
    wide = SyntheticScenes("test", 1, (50, 100))
    sized = changed(trained, tmp_path / "sized", resize=resize)
    predictor = Predictor(sized)
    assert predictor.settings["resize"] == resize
    batch = predictor.batch([NamedPhoto("wide", wide.read(0).image)])
    measured = EvaluationSamples(wide, resize=resize)[0]
    assert batch["image"].shape == (1, 3, *seen)
    assert torch.equal(batch["image"][0], measured["image"]), "as evaluation sees it"
    assert predictor(wide.read(0).image).semantic.shape == (50, 100)
    given = Predictor(sized, scale=1.0)
    assert "resize" not in given.settings
    assert given.batch([NamedPhoto("wide", wide.read(0).image)])["image"].shape == (1, 3, 50, 100)
    with pytest.raises(UserError, match=r"runs of the same size, found None and .*: give one scale for all"):
        Predictor([trained, sized])
    with pytest.raises(UsageError, match=r"sees images at a scale, found .* pixels: give a --scale"):
        Windows(predictor, 64, 32)


@pytest.mark.slow
def test_runs_that_saw_images_otherwise_are_refused_unless_one_way_is_given(
    trained: Path, tmp_path: Path, scene: np.ndarray
) -> None:
    half = changed(trained, tmp_path / "half", scale=0.5)
    with pytest.raises(UserError, match=r"runs of the same scale, found 1\.0 and 0\.5: give one for all$"):
        Predictor([trained, half])
    assert Predictor([trained, half], scale=0.5)(scene).semantic.shape == (64, 64)
    config = yaml.safe_load((half / "config.yaml").read_text())
    config["trainer"]["precision"] = "64-true"
    (half / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(
        UserError, match=r"runs of the same precision, found .* and 64-true: give one for all$"
    ):
        Predictor([trained, half], scale=0.5)
    with pytest.raises(UsageError, match="run: expected a run folder or a checkpoint, found none"):
        Predictor([])
    with pytest.raises(FileNotFoundError, match=r"found no .*nowhere"):
        Predictor([trained, tmp_path / "nowhere"])


@pytest.mark.slow
def test_an_ensemble_on_the_command_line_writes_what_it_answers(
    pair: list[Path], scene: np.ndarray, tmp_path: Path
) -> None:
    Image.fromarray(scene).save(tmp_path / "a.png")
    out = tmp_path / "out"
    rest = ["--images", str(tmp_path / "a.png"), "--out", str(out), "--precision", "32-true"]
    predict.main(["--run", *map(str, pair), *rest, "--entropy"])
    answer = Predictor(pair, precision="32-true")(tmp_path / "a.png", entropy=True, soft=False)
    answer.save(tmp_path / "saved")
    for kind in ("semantic", "region", "panoptic", "overlay", "entropy", "disagreement"):
        files = [folder / kind / "a.png" for folder in (out, tmp_path / "saved")]
        assert files[0].read_bytes() == files[1].read_bytes()
    with Image.open(out / "entropy" / "a.png") as picture:
        gray = np.asarray(picture).astype(float) / 65535
    np.testing.assert_allclose(gray, answer.entropy / np.log(6), atol=1e-5)
    settings = json.loads((out / "predictions.jsonl").read_text().splitlines()[0])
    assert len(settings["checkpoint"]) == 2
    assert settings["entropy"] is True
    with pytest.raises(FileExistsError, match="predictions by another checkpoint and entropy"):
        predict.main(["--run", str(pair[0]), *rest])


@pytest.mark.slow
def test_samples_need_dropout(trained: Path, scene: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^samples: no layer of the network drops anything in training"):
        Predictor(trained, samples=4)
    layers = {"class_path": "fusionseg.heads.SemanticHead", "init_args": {"dropout": 0.5}}
    run = changed(trained, tmp_path / "dropping")
    file = run / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    content["hyper_parameters"]["semantic_head"] = layers
    torch.save(content, file)
    once, plain = Predictor(run, samples=4), Predictor(run)
    assert once.settings == {**plain.settings, "samples": 4}
    first, again, other = once(scene, entropy=True), once(scene, entropy=True), plain(scene, entropy=True)
    np.testing.assert_array_equal(first.entropy, again.entropy)
    assert not np.allclose(first.entropy, other.entropy, atol=1e-3)
