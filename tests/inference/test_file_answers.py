import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fusionseg.classification import ClassificationModule
from fusionseg.heads import ClassifierHead
from fusionseg.inference.file_answers import FileAnswers, Named
from fusionseg.inference.predictor import Predictor
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Classes, Frame, Prediction, Sample


@pytest.mark.parametrize("single", [True, False])
def test_the_record_says_whether_the_head_takes_an_image_to_show_one_class(
    single: bool, tmp_path: Path
) -> None:
    classes = Classes(("a", "b"), ((1, 1, 1), (2, 2, 2)), per_image="any" if single else "one")
    head = partial(ClassifierHead, single=single)
    ClassificationModule(classes, head, backbone=Backbone("small_cnn")).save_pretrained(tmp_path / "model")
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "a.png")
    predictor = Predictor(tmp_path / "model", precision="32-true", device="cpu")
    settings = predictor.settings | dict.fromkeys(("soft", "probabilities", "entropy"), False)
    outcome = FileAnswers(predictor, tmp_path, settings)(Named("a", tmp_path / "a.png", "a.png"))
    assert outcome.entry is not None
    assert outcome.entry["single"] is single


@pytest.mark.slow
@pytest.mark.parametrize("tasks", ["both", "regions alone"])
def test_an_image_with_too_many_regions_has_a_line_and_the_others_their_answers(
    tasks: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = np.zeros((300, 300, 3), np.uint8)
    Image.fromarray(ids).save(tmp_path / "many.png")
    Image.fromarray(ids[:64, :64]).save(tmp_path / "few.png")
    predictor = Predictor(trained, precision="32-true", device="cpu")
    if tasks == "regions alone":
        del predictor.model.network.heads["semantic"]

    def one_each(output: object, frame: Frame) -> torch.Tensor:
        height, width = frame.size
        return torch.arange(1, height * width + 1).view(1, height, width)

    monkeypatch.setattr(predictor.model.heads["region"], "labels", one_each)
    settings = predictor.settings | dict.fromkeys(("soft", "probabilities", "entropy"), False)
    answers = FileAnswers(predictor, tmp_path, settings)
    many, few = (answers(Named(name, tmp_path / f"{name}.png", name)) for name in ("many", "few"))
    assert many.entry is None
    assert re.match(r".*many\.png: expected region ids in .*, found .*90000: .*min_area", many.failure)
    assert few.entry is not None
    assert few.entry["segments"]


def test_consecutive_images_of_one_size_are_answered_at_once_and_alone_where_that_fails(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, width in (("a", 64), ("b", 64), ("d", 32), ("e", 64)):
        Image.fromarray(np.zeros((64, width, 3), np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "c.png").write_text("no image")
    predictor = Predictor(trained, precision="32-true", device="cpu")
    settings = predictor.settings | dict.fromkeys(("soft", "probabilities", "entropy"), False)
    answers = FileAnswers(predictor, tmp_path / "out", settings)
    asked: list[list[str]] = []
    ask = predictor.model.predictions

    def noted(batch: Sample, size: tuple[int, int], extras: object) -> list[Prediction]:
        asked.append(batch["name"])
        if broken and len(batch["name"]) > 1:
            raise MemoryError
        found: list[Prediction] = ask(batch, size, extras)
        return found

    monkeypatch.setattr(predictor.model, "predictions", noted)
    images = [Named(name, tmp_path / f"{name}.png", name) for name in "abcde"]
    for fails, expected in ((False, ["ab", "d", "e"]), (True, ["ab", "a", "b", "d", "e"])):
        asked.clear()
        broken = fails
        outcomes = answers.several(images)
        assert asked == [list(names) for names in expected]
        assert [outcome.entry is not None for outcome in outcomes] == [True, True, False, True, True]
        assert "c.png" in outcomes[2].failure
    assert len(list((tmp_path / "out" / "semantic").iterdir())) == 4
