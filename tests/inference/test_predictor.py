import json
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from fusionseg import Predictor
from fusionseg.commands import evaluate, predict
from fusionseg.config.errors import UsageError, UserError
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.passes import Passes
from fusionseg.engine.precision import fast_precision
from fusionseg.engine.predictions import padded
from fusionseg.files.archives import tree
from fusionseg.inference.answer import Answer
from fusionseg.metrics import MetricSuite
from fusionseg.runs.sharing import shareable

MAPS = ("semantic", "region", "fused", "panoptic", "confidence", "boundaries")


@pytest.fixture(scope="module")
def predictor(_trained: Path) -> Predictor:
    return Predictor(_trained, precision="32-true")


@pytest.fixture
def scene() -> np.ndarray:
    return SyntheticScenes("test", 1, (50, 70)).read(0).image


def same(one: Answer, other: Answer) -> bool:
    return one.maps.keys() == other.maps.keys() and all(
        np.array_equal(one.maps[name], other.maps[name]) for name in one.maps
    )


@pytest.mark.slow
def test_an_answer_has_all_maps_at_the_image_s_size(predictor: Predictor, scene: np.ndarray) -> None:
    answer = predictor(scene, probabilities=True)
    for name in MAPS:
        assert getattr(answer, name).shape == (50, 70), name
    assert answer.probabilities.shape == (6, 50, 70)
    np.testing.assert_allclose(answer.probabilities.sum(0), 1, rtol=1e-5)
    np.testing.assert_array_equal(answer.probabilities.argmax(0), answer.semantic)
    np.testing.assert_array_equal(answer.probabilities.max(0), answer.confidence)
    assert 0 <= answer.boundaries.min() < answer.boundaries.max() <= 1
    assert answer.classes.names == SyntheticScenes.classes.names
    assert answer.overlay().shape == (50, 70, 3)
    assert "probabilities" in dir(answer)


def test_an_image_is_the_same_in_every_form(predictor: Predictor, scene: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "scene.png"
    Image.fromarray(scene).save(path)
    expected = predictor(str(path))
    assert expected.name == "scene"
    with ZipFile(tmp_path / "scenes.zip", "w") as archive:
        archive.write(path, "archived.png")
    forms: list[Any] = [
        path,
        tree(tmp_path / "scenes.zip") / "archived.png",
        scene,
        Image.fromarray(scene),
        Image.fromarray(scene).convert("RGBA"),
        torch.from_numpy(scene).permute(2, 0, 1),
    ]
    for form in forms:
        assert same(predictor(form), expected)
    answers = predictor(forms)
    assert answers[0].name == "scene"
    assert len({answer.name for answer in answers}) == len(answers)
    assert all(same(answer, expected) for answer in answers)
    deep = predictor(scene.astype(np.uint16) * 257)
    assert (deep.semantic == expected.semantic).mean() > 0.99
    real = predictor(scene.astype(np.float64) / 255)
    assert (real.semantic == expected.semantic).mean() > 0.99


def test_gray_images_are_gray_in_all_channels(predictor: Predictor, scene: np.ndarray) -> None:
    gray = scene[..., 0]
    expected = predictor(np.stack([gray] * 3, 2))
    assert same(predictor(gray), expected)
    assert same(predictor(gray[..., None]), expected)
    assert same(predictor(Image.fromarray(gray)), expected)


def test_several_images_are_answered_one_after_the_other(predictor: Predictor, scene: np.ndarray) -> None:
    read = []

    def images() -> Any:
        for crop in (scene, scene[:33], scene[:33, :31]):
            read.append(crop.shape)
            yield crop

    answers = predictor(images())
    first = next(answers)
    assert len(read) == 1
    assert same(first, predictor(scene))
    assert [answer.image.shape for answer in answers] == [(33, 70, 3), (33, 31, 3)]


@pytest.mark.slow
def test_a_batch_is_of_images_of_one_size(
    trained: Path, predictor: Predictor, scene: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    batched = Predictor(trained, precision="32-true", batch_size=2)
    sizes = []
    predictions = batched.model.predictions

    def counted(batch: Any, size: Any, extras: Any = ()) -> Any:
        sizes.append(tuple(batch["image"].shape))
        return predictions(batch, size, extras)

    monkeypatch.setattr(batched.model, "predictions", counted)
    images = [scene, scene[::-1], scene[:, ::-1], scene[:32], scene[:32]]
    answers = batched(images)
    assert sizes == [(2, 3, 50, 70), (1, 3, 50, 70), (2, 3, 32, 70)]
    for answer, image in zip(answers, images, strict=True):
        alone = predictor(np.ascontiguousarray(image))
        assert (answer.semantic == alone.semantic).mean() > 0.999


def with_precision(run: Path, precision: str) -> Path:
    """The run, as if it had been trained in a precision."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["trainer"]["precision"] = precision
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    return run


SLOW = "32-true" if fast_precision() == "bf16-mixed" else "bf16-mixed"
"""Not what a predictor would choose."""


@pytest.mark.slow
def test_a_predictor_computes_in_the_precision_of_the_training(trained: Path) -> None:
    with_precision(trained, SLOW)
    shareable(trained).save_pretrained(trained / "saved")
    assert Predictor(trained / "saved").settings["precision"] == SLOW
    assert Predictor(trained, precision=fast_precision()).settings["precision"] == fast_precision()
    assert Predictor(trained / "checkpoints" / "best.ckpt").settings["precision"] == fast_precision()


@pytest.mark.slow
def test_the_answer_is_that_of_predict_and_of_evaluate(
    trained: Path, scene: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_precision(trained, SLOW)
    Image.fromarray(scene).save(tmp_path / "a.png")
    answer = Predictor(trained)(tmp_path / "a.png")
    predict.main(["--run", str(trained), "--images", str(tmp_path / "a.png"), "--out", str(tmp_path / "out")])
    answer.save(tmp_path / "saved")
    for kind in ("semantic", "region", "panoptic", "overlay"):
        files = [tmp_path / folder / kind / "a.png" for folder in ("out", "saved")]
        assert files[0].read_bytes() == files[1].read_bytes()
    # evaluate's own predictions, as it scores them
    scored: list[Any] = []
    sums = MetricSuite.sums

    def kept(self: Any, prediction: Any, truth: Any) -> Any:
        scored.append(prediction)
        return sums(self, prediction, truth)

    monkeypatch.setattr(MetricSuite, "sums", kept)
    evaluate.main(["--run", str(trained), "--pictures", "0", "--data.dataset.size", "[17, 701]"])
    length = len(scored)
    assert scored[0]["semantic"].shape == (17, 701)
    assert length == json.loads((trained / "evaluation" / "val.json").read_text())["images"]
    scenes = SyntheticScenes("val", length, scored[0]["semantic"].shape)
    answers = Predictor(trained)([scenes.read(i).image for i in range(length)])
    for prediction, one in zip(scored, answers, strict=True):
        for task in ("semantic", "region", "fused", "panoptic"):
            assert np.array_equal(prediction[task], one.maps[task])


def test_segments_are_those_of_the_panoptic_map(predictor: Predictor, scene: np.ndarray) -> None:
    answer = predictor(scene)
    table = answer.segments()
    assert list(table.columns) == [
        "id", "class", "thing", "area", "left", "top", "width", "height", "score",
    ]  # fmt: skip
    assert table["area"].sum() == (answer.panoptic >= 0).sum()
    for row in table.itertuples():
        mask = answer.panoptic == row.id
        rows, columns = np.nonzero(mask)
        assert (row.left, row.top) == (columns.min(), rows.min())
        assert (row.width, row.height) == (np.ptp(columns) + 1, np.ptp(rows) + 1)
        assert row.area == mask.sum()
        assert row.score == pytest.approx(answer.confidence[mask].mean())
        label = answer.classes.names.index(row[2])
        assert row.id // 65536 == label
        assert row.thing == (label in answer.classes.things)


def test_what_heads_gave_is_there_where_it_is_asked_for(
    trained: Path, predictor: Predictor, scene: np.ndarray
) -> None:
    batched = Predictor(trained, precision="32-true", batch_size=2)
    answers = batched([scene, scene[::-1]], outputs=True)
    batch = padded(batched.batch([batched.named(scene), batched.named(scene[::-1])]))
    with torch.no_grad():
        [*_, expected] = batched.model(batch["image"])
    for number, answer in enumerate(answers):
        assert answer.outputs.keys() == expected.keys() == {"semantic", "region"}
        for task, output in answer.outputs.items():
            assert output.dtype == np.float32
            assert np.array_equal(output, expected[task][number].numpy())
    assert predictor(scene).outputs == {}


def test_an_answer_is_saved_and_shown(predictor: Predictor, scene: np.ndarray, tmp_path: Path) -> None:
    answer = predictor(scene, probabilities=True)
    answer.save(tmp_path, "one")
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")) == [
        "boundaries/one.png",
        "confidence/one.png",
        "overlay/one.png",
        "panoptic/one.png",
        "probabilities/one.npz",
        "region/one.png",
        "segments/one.csv",
        "semantic/one.png",
    ]
    soft = np.asarray(Image.open(tmp_path / "boundaries/one.png")) / 65535
    np.testing.assert_allclose(soft, answer.boundaries, atol=1e-5)
    stored = np.load(tmp_path / "probabilities/one.npz")["probabilities"]
    np.testing.assert_allclose(stored, answer.probabilities, atol=1e-3)
    assert answer._repr_png_()[:4] == b"\x89PNG"
    assert re.match(r"Answer\('image_\d+', 70 x 50, semantic", repr(answer))


def test_soft_maps_may_be_left_out_and_devices_be_torch_s(trained: Path, scene: np.ndarray) -> None:
    predictor = Predictor(trained, device=torch.device("cpu:0"))
    answer = predictor(scene, soft=False)
    assert not {"confidence", "boundaries"} & answer.maps.keys()
    assert answer.segments()["score"].isna().all()
    assert answer in [answer]


def test_what_an_answer_lacks_is_named(scene: np.ndarray, trained: Path) -> None:
    predictor = Predictor(trained)
    answer = predictor(scene)
    with pytest.raises(AttributeError, match=r"no 'probabilities' .*: ask for probabilities=True"):
        answer.probabilities  # noqa: B018
    with pytest.raises(AttributeError, match="no 'depth' in this answer, which has semantic, region"):
        answer.depth  # noqa: B018
    empty = Answer("a", scene, answer.classes, {})
    assert empty._repr_png_() is None
    for ask in (empty.overlay, empty.segments):
        with pytest.raises(UserError, match="found nothing"):
            ask()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nothing.png", "found no file nothing.png"),
        (3, "expected a path, a PIL image, an array .* found int"),
        (np.zeros((4, 5, 4), np.uint8), r"numbers \(H, W, 3\) in image_\d+, found uint8 \(4, 5, 4\)"),
        (np.zeros((3, 4, 5), np.uint8), r"found uint8 \(3, 4, 5\) \(a tensor is \(C, H, W\)\)"),
        (torch.zeros(1, 3, 4, 5), r"a tensor \(C, H, W\) in image_\d+, found \(1, 3, 4, 5\)"),
        (np.zeros((0, 5, 3), np.uint8), r"found uint8 \(0, 5, 3\)"),
        (np.full((4, 5, 3), np.nan), r"finite values in image_\d+, found NaN: fill the pixels"),
        (np.full((4, 5, 3), 255.0), "found 255 to 255: give value_range"),
        (np.zeros((4, 5, 3), np.int64), "found int64, which has no range"),
        (np.zeros((4, 5, 3), bool), "found bool"),
    ],
)
def test_what_is_no_image_is_named(predictor: Predictor, given: Any, message: str) -> None:
    with pytest.raises((UserError, FileNotFoundError), match=message):
        predictor([given])


@pytest.mark.slow
def test_values_have_the_range_that_is_given(trained: Path, scene: np.ndarray) -> None:
    expected = Predictor(trained)(scene.astype(np.float32) / 255)
    ranged = Predictor(trained, value_range=(-1, 1))
    assert (ranged(scene / 127.5 - 1).semantic == expected.semantic).mean() > 0.99


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 0}, "scale: expected a size above 0"),
        ({"value_range": (3, 3)}, "value_range: expected two numbers"),
        ({"batch_size": 0}, "batch_size: expected at least 1"),
        ({"threads": 0}, "threads: expected at least 1"),
        ({"precision": "8-bit"}, "precision"),
        ({"device": "toaster"}, "device: expected a device of torch's that is there, found toaster"),
        ({"device": "cuda:99"}, "device: expected a device of torch's that is there, found cuda:99"),
    ],
)
def test_arguments_out_of_range_are_named(trained: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Predictor(trained, **arguments)


def test_no_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"expected a run folder, a checkpoint or a saved model, found no .*nowhere"
    ):
        Predictor(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"config\.yaml"):
        Predictor(tmp_path)


def test_the_lines_of_the_readme_run(trained: Path, scene: np.ndarray) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    lines = text[text.index("from fusionseg import Predictor") :].splitlines()
    code = "\n".join(line.strip() for line in lines[:3])
    Image.fromarray(scene).save(trained / "photo.jpg")
    code = code.replace("runs/camvid", str(trained)).replace("photo.jpg", str(trained / "photo.jpg"))
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["answer"].semantic.shape == (50, 70)
    assert code.count("\n") == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("--tta", "flip,1.5"), marks=pytest.mark.slow, id="--tta flip,1.5"),
        pytest.param(
            ("--tile", "96", "--overlap", "32", "--tta", "flip"), id="--tile 96 --overlap 32 --tta flip"
        ),
    ],
)
def test_in_tiles_and_augmented_the_class_and_the_commands_answer_the_same(
    words: tuple[str, ...], trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = dict(
        zip((word.removeprefix("--") for word in words[::2]), words[1::2], strict=True)
    )
    given |= {name: int(value) for name, value in given.items() if name != "tta"}
    scored: list[Any] = []
    sums = MetricSuite.sums

    def kept(self: Any, prediction: Any, truth: Any) -> Any:
        scored.append(prediction)
        return sums(self, prediction, truth)

    monkeypatch.setattr(MetricSuite, "sums", kept)
    evaluate.main(["--run", str(trained), "--pictures", "0", "--data.dataset.size", "[77, 131]", *words])
    folder = trained / "evaluation" / Passes.of(**given).name
    figures = json.loads((folder / "val.json").read_text())
    assert not (trained / "evaluation" / "val.json").exists()
    scenes = SyntheticScenes("val", len(scored), (77, 131))
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(len(scored)):
        Image.fromarray(scenes.read(i).image).save(photos / f"{i}.png")
    predictor = Predictor(trained, **given)
    with pytest.warns(match="farther than a tile") if "tile" in given else nullcontext():
        answers = predictor(sorted(photos.iterdir()))
    predictor(scenes.read(0).image)  # the warning comes once
    assert figures.items() >= predictor.passes.record.items()
    assert predictor.settings.items() >= predictor.passes.record.items()
    plain = Predictor(trained)(sorted(photos.iterdir()))
    assert not any(same(one, other) for one, other in zip(answers, plain, strict=True))
    out = tmp_path / "out"
    predict.main(["--run", str(trained), "--images", str(photos), "--out", str(out), *words])
    for prediction, answer in zip(scored, answers, strict=True):
        for task in ("semantic", "region", "fused", "panoptic"):
            assert np.array_equal(prediction[task], answer.maps[task])
        for task in ("semantic", "region"):
            assert np.array_equal(np.array(Image.open(out / task / f"{answer.name}.png")), answer.maps[task])


def test_a_model_that_cannot_be_tiled_is_refused_before_an_image_is_read(trained: Path) -> None:
    with pytest.raises(UsageError, match="smaller than the tile"):
        Predictor(trained, tile=64)
