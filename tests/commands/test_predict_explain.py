"""predict --explain CLASS."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionseg.commands.predict import main
from fusionseg.config.errors import UserError
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.inference.predictor import Predictor


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(2):
        Image.fromarray(SyntheticScenes("test", 2, (50, 70)).read(number).image).save(
            folder / f"{number}.png"
        )
    return folder


def predicted(run: Path, photos: Path) -> tuple[str, str]:
    """A class that is predicted in an image, and one that is predicted in none."""
    names = SyntheticScenes.classes.names
    predictor = Predictor(run)
    found = {names[i] for path in photos.iterdir() for i in np.unique(predictor(path).semantic)}
    return sorted(found)[0], sorted(set(names) - found)[0]


@pytest.mark.slow
def test_overlays_and_maps_are_those_of_the_predictor(
    trained: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    present, absent = predicted(trained, photos)
    main(["--run", str(trained), "--images", str(photos), "--out", str(out), "--explain", present])
    predictor = Predictor(trained)
    written = sorted((out / "explain").iterdir())
    assert written
    for path in written:
        found = predictor.explain(photos / path.name, present)
        with Image.open(path) as overlay, Image.open(out / "attribution" / path.name) as gray:
            np.testing.assert_array_equal(np.asarray(overlay), found.overlay())
            assert gray.mode == "I;16"
            np.testing.assert_allclose(np.asarray(gray) / 65535, found.values, atol=1e-5)
    again = tmp_path / "again"
    main(["--run", str(trained), "--images", str(photos), "--out", str(again), "--explain", absent])
    assert not (again / "explain").exists()
    assert (again / "semantic" / "0.png").is_file()
    notice = "2 of 2 images have no pixel of the class to explain, and no attribution"
    assert notice in capsys.readouterr().err
    with pytest.raises(FileExistsError, match="already holds predictions by another explain"):
        main(["--run", str(trained), "--images", str(photos), "--out", str(out), "--explain", absent])


def test_an_unknown_class_is_refused_before_anything_is_written(
    trained: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(
        UserError,
        match="expected the name of a class of the model to explain, found 'disc'; did you mean disk",
    ):
        main(["--run", str(trained), "--images", str(photos), "--out", str(out), "--explain", "disc"])
    assert not out.exists()
