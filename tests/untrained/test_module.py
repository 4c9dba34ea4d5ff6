import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fusionseg.commands.evaluate import main as evaluate
from fusionseg.commands.fit import main as fit
from fusionseg.commands.predict import main as predict
from fusionseg.data import SyntheticScenes
from fusionseg.sample import Sample
from fusionseg.untrained import Canny, Felzenszwalb, UntrainedModule

SCENES = SyntheticScenes("val", length=2, size=(64, 96))


def batch(scale: int = 1, more: int = 0) -> Sample:
    """The image as 8-bit values, or as 16-bit ones, with so many further channels."""
    images = [torch.from_numpy(SCENES.read(i).image.astype(np.int32)).permute(2, 0, 1) for i in range(2)]
    stacked = torch.stack(images) * scale
    stacked = torch.cat([stacked, *[stacked[:, :1]] * more], 1)
    return {"image": stacked.to(torch.uint8 if scale == 1 else torch.uint16), "name": ["a", "b"]}


def test_predictions_are_the_regions_of_each_image() -> None:
    module = UntrainedModule(SCENES.classes)
    found = module.predictions(batch(), (64, 96))
    assert [prediction.name for prediction in found] == ["a", "b"]
    for i, prediction in enumerate(found):
        expected = Felzenszwalb().regions(SCENES.read(i).image.astype(np.float32) / 255)
        assert list(prediction.maps) == ["region"]
        assert (prediction["region"] == expected).all()


@pytest.mark.parametrize(("scale", "more"), [(257, 0), (1, 1)])
def test_deep_images_and_further_channels_are_read_as_rgb(scale: int, more: int) -> None:
    module = UntrainedModule(SCENES.classes)
    plain = module.predictions(batch(), (64, 96))
    other = module.predictions(batch(scale, more), (64, 96))
    assert all((a["region"] == b["region"]).all() for a, b in zip(plain, other, strict=True))


def test_labels_of_another_size_get_regions_of_their_size() -> None:
    module = UntrainedModule(SCENES.classes)
    small = module.predictions(batch(), (64, 96))
    large = module.predictions(batch(), (128, 192))
    for a, b in zip(small, large, strict=True):
        assert (b["region"] == a["region"].repeat(2, 0).repeat(2, 1)).all()


def test_soft_boundaries_are_there_where_they_are_asked_for_and_found() -> None:
    assert (
        "contours"
        not in UntrainedModule(SCENES.classes).predictions(batch(), (64, 96), extras=["contours"])[0]
    )
    canny = UntrainedModule(SCENES.classes, Canny)
    assert "contours" not in canny.predictions(batch(), (64, 96))[0]
    soft = canny.predictions(batch(), (128, 192), extras=["contours"])[0]["contours"]
    assert soft.shape == (128, 192)
    assert soft.min() == 0
    assert soft.max() <= 1
    thin = Canny().contours(SCENES.read(0).image.astype(np.float32) / 255)
    assert thin.max() == 1
    assert 0 < np.count_nonzero(thin) < 0.3 * thin.size
    assert (Canny().contours(np.full((32, 32, 3), 0.5, np.float32)) == 0).all()


@pytest.mark.slow
def test_fit_evaluate_and_predict_take_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    data = [
        "--data.dataset.length",
        "16",
        "--data.dataset.size",
        "[64, 64]",
        "--data.workers",
        "0",
        "--data.crop_size",
        "[64, 64]",
    ]
    model = [
        "--model",
        "fusionseg.untrained.UntrainedModule",
        "--model.method",
        "KMeans",
        "--model.method.clusters",
        "4",
    ]
    fit([*model, *data, "--trainer.check_val_every_n_epoch", "10", "--out", str(run)])
    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "finished"
    evaluate(["--run", str(run), "--split", "val", "--pictures", "1"])
    measured = json.loads((run / "evaluation/val.json").read_text())["metrics"]
    assert measured["covering"] == pytest.approx(summary["metrics"]["val/covering"], abs=1e-6)
    assert {"covering", "voi", "boundary_f", "score"} <= measured.keys()
    photo = next((run / "evaluation/val_best").glob("*.png"))
    predict(["--run", str(run), "--images", str(photo), "--out", str(tmp_path / "predicted")])
    assert (tmp_path / "predicted" / "region" / photo.name).is_file()
