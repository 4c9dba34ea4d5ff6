from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionseg.classification import ClassificationModule
from fusionseg.heads import ClassifierHead
from fusionseg.inference.file_answers import FileAnswers, Named
from fusionseg.inference.predictor import Predictor
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Classes


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
