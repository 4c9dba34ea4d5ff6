import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionseg import Predictor
from fusionseg.commands import export, predict
from fusionseg.config.errors import UsageError, UserError
from fusionseg.data.synthetic import SyntheticScenes

MAPS = ("semantic", "region", "fused", "panoptic")


@pytest.mark.slow
def test_a_run_is_exported_for_torch_into_its_folder(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export.main(["--run", str(trained), "--format", "torch"])
    shapes, difference, written = capsys.readouterr().out.splitlines()
    assert shapes == ("for images (3, 3, 192, 128): semantic (3, 6, 192, 128), region (3, 1, 192, 128)")
    assert re.fullmatch(r"largest difference from the model: \d\.\de[+-]\d\d", difference)
    assert re.fullmatch(rf"{trained}/model\.pt2 \(\d+\.\d MiB\)", written)
    assert (trained / "model.pt2").is_file()


@pytest.mark.slow
def test_an_exported_run_answers_as_the_run_does(trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "exported.onnx"
    export.main(["--run", str(trained), "--out", str(file)])
    scenes = SyntheticScenes("test", 3, (77, 131))
    photos = [scenes.read(i).image for i in range(3)]
    photos.append(photos[0][:20, :20])  # less than any cell
    run = Predictor(trained, precision="32-true", batch_size=2)
    for own, other in zip(run(photos), Predictor(file, batch_size=3)(photos), strict=True):
        for name in MAPS:
            assert (own.maps[name] == other.maps[name]).mean() > 0.999, name
        np.testing.assert_allclose(own.confidence, other.confidence, atol=1e-4)
        np.testing.assert_allclose(own.boundaries, other.boundaries, atol=1e-4)
    Image.fromarray(photos[0]).save(tmp_path / "photo.png")
    words = ["--checkpoint", str(file), "--images", str(tmp_path / "photo.png")]
    predict.main([*words, "--out", str(tmp_path / "out")])
    answer = Predictor(file)(photos[0])
    stored = np.asarray(Image.open(tmp_path / "out" / "semantic" / "photo.png"))
    np.testing.assert_array_equal(stored, answer.semantic)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "onnx", "--out", "model.pt2"], r"out: expected a name that ends with \.onnx, found model\.pt2"),
        (["--format", "tensorrt"], "format: expected onnx or torch, found tensorrt"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_are_named(words: list[str], message: str, trained: Path) -> None:
    with pytest.raises(UsageError, match=message):
        export.main(["--run", str(trained), *words])


def test_a_checkpoint_is_no_run(trained: Path) -> None:
    with pytest.raises(UsageError, match="run: expected a run folder, found the file"):
        export.main(["--run", str(trained / "checkpoints" / "best.ckpt")])


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises((UserError, OSError), match=r"config\.yaml"):
        export.main(["--run", str(tmp_path)])
    with pytest.raises((UserError, OSError), match="expected a run folder"):
        export.main(["--run", str(tmp_path / "nowhere")])
