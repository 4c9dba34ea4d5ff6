"""What the page asks of a model; this needs no gradio."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from fusionseg import Predictor
from fusionseg.config.errors import UserError
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.demo.pictures import ROW, WIDTH, pictures
from fusionseg.demo.session import Session
from fusionseg.inference.answer import Answer
from fusionseg.inference.attribution import AttributionTarget
from fusionseg.visualize import overlay, region_colors


@pytest.fixture(scope="module")
def session(_trained: Path) -> Session:
    return Session(Predictor(_trained, precision="32-true"))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(SyntheticScenes("test", 1, (50, 70)).read(0).image).save(path)
    return path


def test_the_pictures_are_those_of_the_predictor_s_answer(session: Session, photo: Path) -> None:
    values = [one.value for one in session.sliders]
    answer = session.predictor(photo)
    found = session.decoded(session.seen(photo), values, 0.3)
    assert list(found) == ["semantic", "regions", "fused", "confidence", "boundaries"]
    assert {picture.shape for picture in found.values()} == {(50, 70, 3)}
    np.testing.assert_array_equal(found["fused"], answer.overlay(0.3))
    np.testing.assert_array_equal(
        found["regions"], overlay(answer.picture(), region_colors(answer.region), 0.3)
    )


def test_each_request_has_its_own_decoding(session: Session, photo: Path) -> None:
    values = [one.value for one in session.sliders]
    outputs = session.seen(photo)
    before = session.decoded(outputs, values)
    area = [one.name for one in session.sliders].index("min_area")
    coarse = session.decoded(outputs, [*values[:area], 3000, *values[area + 1 :]])
    assert (coarse["regions"] != before["regions"]).any()
    np.testing.assert_array_equal(coarse["semantic"], before["semantic"])
    again = session.decoded(outputs, values)
    assert all((again[title] == before[title]).all() for title in before)


def test_every_class_and_the_boundaries_can_be_chosen(session: Session, photo: Path) -> None:
    assert list(session.targets) == [*SyntheticScenes.classes.names, "(boundaries)"]
    assert session.explains_pixels
    values = [one.value for one in session.sliders]
    outputs = session.seen(photo)
    found = session.explained(outputs, values, AttributionTarget(pixel=(3, 4)))
    expected = session.predictor.explain(photo, pixel=(3, 4))
    np.testing.assert_array_equal(found.values, expected.values)
    found = session.explained(outputs, values, session.targets["(boundaries)"])
    assert found.target == "boundary"
    assert found.overlay().shape == (50, 70, 3)
    with pytest.raises(UserError, match="did you mean disk"):
        session.explained(outputs, values, AttributionTarget("Disk"))


def test_what_is_no_image_is_named(session: Session, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no image")
    with pytest.raises(ValueError, match=r"notes\.png"):
        session.seen(tmp_path / "notes.png")


def test_a_model_without_heads_is_refused_at_the_start(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session.predictor, "model", nn.Identity())
    with pytest.raises(UserError, match="expected a FusionModule, whose heads decode, found Identity"):
        Session(session.predictor)


def test_a_scene_has_a_bar_for_each_class(session: Session) -> None:
    classes = session.predictor.classes
    likely = np.zeros(len(classes), np.float32)
    likely[[1, 3]] = 1, 0.5
    answer = Answer("a", np.zeros((4, 5, 3), np.uint8), classes, {"scene": likely})
    [(title, picture)] = pictures(answer).items()
    assert title == "scene"
    assert picture.shape == (ROW * len(classes), WIDTH, 3)
    # the likeliest class above, the next one half as long, and nothing of the others
    for row, label, length in ((0, 1, WIDTH), (1, 3, WIDTH // 2), (2, 0, 0)):
        line = picture[row * ROW + 2]
        assert (line[:length] == classes.colors[label]).all()
        assert (line[length:] == 255).all()
