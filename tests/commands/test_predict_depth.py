"""Models that take depth as a channel: trained, measured, and asked for photos with files of depth."""

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from fusionseg import PhotoWithDepth, Predictor
from fusionseg.bench.images import Reading, bench_images
from fusionseg.commands import evaluate, fit, share
from fusionseg.commands.predict import main
from fusionseg.config.errors import UsageError, UserError
from fusionseg.data import RGBD, SyntheticScenes
from fusionseg.data.samples import EvaluationSamples
from fusionseg.inference.export import ExportSource, described
from fusionseg.inference.export_graph import ExportableNetwork
from fusionseg.inference.export_metadata import ExportMetadata
from fusionseg.inference.inputs import NamedPhoto
from fusionseg.runs.trained_model import trained_model

SCENES = partial(SyntheticScenes, length=4, size=(64, 64), depth=True)
LIMIT = 8.0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose input and third target is depth."""
    folder = tmp_path_factory.mktemp("runs") / "rgbd"
    words = [
        *("--data.dataset", "RGBD", "--data.dataset.dataset", "SyntheticScenes"),
        *("--data.dataset.dataset.depth", "true", "--data.dataset.dataset.length", "4"),
        *("--data.dataset.dataset.size", "[64, 64]", "--data.dataset.depth_limit", str(LIMIT)),
        *("--data.crop_size", "[64, 64]", "--data.batch_size", "4", "--data.workers", "0"),
        *("--model.backbone.encoder", "tu-test_efficientnet", "--model.backbone.in_channels", "4"),
        *("--model.backbone.options", "{decoder_channels: [16, 16, 8, 8, 8]}", "--trainer.max_epochs", "1"),
        *("--model.extra_heads", "{depth: {head: DepthHead, weight: 0.5}}", "--trainer.precision", "32-true"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        fit.main([*words, "--out", str(folder)])
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos, and their depth in millimeters and in meters beside them."""
    scenes = SCENES("test")
    for folder in ("photos/more", "depth/more"):
        (tmp_path / folder).mkdir(parents=True)
    for i, name in enumerate(("a", "more/b")):
        image, _, _, maps = scenes.read(i)
        Image.fromarray(image).save(tmp_path / f"photos/{name}.png")
        if i == 0:
            millimeters = np.rint(maps["depth"] * 1000).astype(np.uint16)
            Image.fromarray(millimeters).save(tmp_path / f"depth/{name}.png")
        else:
            np.save(tmp_path / f"depth/{name}.npy", maps["depth"])
    return tmp_path


def arguments(run: Path, photos: Path, out: str = "out") -> list[str]:
    return [
        *("--run", str(run), "--images", str(photos / "photos"), "--precision", "32-true"),
        *("--out", str(photos / out)),
    ]


def semantic(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.slow
def test_depth_is_input_and_target_of_a_run_and_is_measured(run: Path) -> None:
    evaluate.main(["--run", str(run)])
    figures = json.loads((run / "evaluation" / "val.json").read_text())["metrics"]
    assert 0 < figures["depth_rmse"] < LIMIT
    assert 0 <= figures["miou"] <= 1
    assert Predictor(run).settings["depth_limit"] == LIMIT


@pytest.mark.slow
def test_a_shared_model_knows_its_depth_and_a_run_can_be_timed(run: Path, tmp_path: Path) -> None:
    share.main(["--run", str(run), "--out", str(tmp_path / "shared")])
    assert Predictor(tmp_path / "shared").settings["depth_limit"] == LIMIT
    assert "the last of which is depth up to 8.0 meters" in (tmp_path / "shared" / "README.md").read_text()
    images = bench_images(run, None, None, 2, tmp_path / "images", Reading(4, None))
    assert np.array_equal(np.load(images.paths[1]), RGBD("val", SCENES, LIMIT).read(1).image)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"expected 4 channels of 8 or 16 bits .* found 3 of uint8"):
        bench_images(tmp_path / "shared", None, (32, 32), 1, tmp_path / "images", Reading(4, None))


@pytest.mark.slow
def test_a_run_with_depth_at_a_size_tells_both(run: Path, photos: Path) -> None:
    sized = photos / "sized"
    shutil.copytree(run, sized)
    content = torch.load(sized / "checkpoints" / "best.ckpt", weights_only=True)
    content["datamodule_hyper_parameters"]["resize"] = [96, 32]
    torch.save(content, sized / "checkpoints" / "best.ckpt")
    share.main(["--run", str(sized), "--out", str(photos / "shared")])
    card = (photos / "shared" / "README.md").read_text()
    assert "the last of which is depth up to 8.0 meters, and are seen at 96 x 32 pixels" in card
    for source in (sized, photos / "shared"):
        trained = trained_model(source)
        metadata = described(ExportSource.of(trained), ExportableNetwork(trained.model))
        again = ExportMetadata.of(metadata.text)
        assert (again.resize, again.depth_limit) == ([96, 32], LIMIT)
        predictor = Predictor(source, precision="32-true")
        assert (predictor.settings["resize"], predictor.settings["depth_limit"]) == ([96, 32], LIMIT)
    dataset = RGBD("test", SCENES, LIMIT)
    measured = EvaluationSamples(dataset, resize=(96, 32))[0]["image"]
    batch = predictor.batch([NamedPhoto("a", dataset.read(0).image)])
    assert torch.equal(batch["image"][0], measured), "as evaluation sees it"
    main([*arguments(sized, photos), "--depth", str(photos / "depth")])
    expected = predictor(PhotoWithDepth(photos / "photos/a.png", photos / "depth/a.png"))
    assert np.array_equal(semantic(photos / "out/semantic/a.png"), expected.semantic)


@pytest.mark.slow
def test_files_of_depth_give_the_answers_of_the_data_set(run: Path, photos: Path) -> None:
    main([*arguments(run, photos), "--depth", str(photos / "depth")])
    predictor = Predictor(run, precision="32-true")
    dataset = RGBD("test", SCENES, LIMIT)
    for i, name in enumerate(("a", "more/b")):
        expected = predictor(dataset.read(i).image)
        found = semantic(photos / f"out/semantic/{name}.png")
        # a millimeter is more than a step of the channel
        assert (found == expected.semantic).mean() > (0.99 if i == 0 else 0.999999)
        assert np.load(photos / f"out/depth/{name}.npy").shape == (64, 64)
        suffix = "png" if i == 0 else "npy"
        pair = PhotoWithDepth(photos / f"photos/{name}.png", photos / f"depth/{name}.{suffix}")
        assert np.array_equal(predictor(pair).semantic, found)
    meters = SCENES("test").read(0).maps["depth"]
    with_array = predictor(PhotoWithDepth(SCENES("test").read(0).image, meters))
    assert np.array_equal(with_array.semantic, predictor(dataset.read(0).image).semantic)


@pytest.mark.slow
def test_other_depth_gives_other_answers(run: Path, photos: Path) -> None:
    predictor = Predictor(run, precision="32-true")
    photo = SCENES("test").read(0).image
    near, far = (np.full((64, 64), meters, np.float32) for meters in (0.5, 7.5))
    one, other = (predictor(PhotoWithDepth(photo, depth)) for depth in (near, far))
    assert not np.array_equal(one.depth, other.depth)
    steps = predictor(PhotoWithDepth(photo, np.full((64, 64), 37500, np.uint16), 0.0002))
    assert np.array_equal(steps.depth, other.depth)


@pytest.mark.slow
def test_an_image_is_answered_again_where_its_depth_has_changed(run: Path, photos: Path) -> None:
    words = [*arguments(run, photos), "--depth", str(photos / "depth")]
    main(words)
    before = (
        (photos / "out/semantic/a.png").stat().st_mtime_ns,
        (photos / "out/semantic/more/b.png").stat().st_mtime_ns,
    )
    os.utime(photos / "depth/a.png", (1, 1))
    main(words)
    after = (
        (photos / "out/semantic/a.png").stat().st_mtime_ns,
        (photos / "out/semantic/more/b.png").stat().st_mtime_ns,
    )
    assert after[0] > before[0]
    assert after[1] == before[1]
    with pytest.raises(FileExistsError, match="predictions by another depth_step"):
        main([*words, "--depth_step", "0.0002"])


@pytest.mark.slow
def test_arrays_of_four_channels_need_no_depth(run: Path, photos: Path) -> None:
    image = RGBD("test", SCENES, LIMIT).read(1).image
    (photos / "arrays").mkdir()
    np.save(photos / "arrays" / "b.npy", image)
    words = arguments(run, photos)
    words[3] = str(photos / "arrays")
    main(words)
    expected = Predictor(run, precision="32-true")(image).semantic
    assert np.array_equal(semantic(photos / "out/semantic/b.png"), expected)


@pytest.mark.slow
def test_missing_depth_is_named(run: Path, photos: Path) -> None:
    with pytest.raises(
        UserError, match=r"found uint8 \(64, 64, 3\).*takes depth as its last channel: give it"
    ):
        main(arguments(run, photos))
    (photos / "depth/a.png").unlink()
    with pytest.raises(UserError, match=r"no depth in .*/depth for a: add files of these names"):
        main([*arguments(run, photos), "--depth", str(photos / "depth")])
    with pytest.raises(FileNotFoundError, match="a folder of depth files for the images, found"):
        main([*arguments(run, photos), "--depth", str(photos / "depth/more/b.npy")])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda depth: depth[:-1], "depth of the image's size 64 x 64, found 64 x 63 .*a.npy"),
        (lambda depth: depth.astype(np.uint8), "as integers of 16 bits in .*a.npy, found uint8"),
    ],
)
def test_depth_that_does_not_fit_is_named(
    make: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.generic]], message: str, run: Path, photos: Path
) -> None:
    path = photos / "depth/a.npy"
    np.save(path, make(SCENES("test").read(0).maps["depth"]))
    (photos / "depth/a.png").unlink()
    with pytest.raises(UserError, match=message):
        main([*arguments(run, photos), "--depth", str(photos / "depth")])


@pytest.mark.slow
def test_alpha_is_not_taken_for_depth(run: Path, photos: Path) -> None:
    image = Image.fromarray(SCENES("test").read(0).image).convert("RGBA")
    image.save(photos / "photos/a.png")
    with pytest.raises(UserError, match=r"4 channels of 16 bits in .*a.png, found 8; the model takes depth"):
        Predictor(run)(photos / "photos/a.png")
    with pytest.raises(UserError, match=r"4 channels of 16 bits in image_0, found 8; the model takes depth"):
        Predictor(run)(image)


@pytest.mark.slow
def test_a_range_of_values_is_that_of_photos_without_depth(run: Path) -> None:
    image = RGBD("test", SCENES, LIMIT).read(1).image
    plain, ranged = Predictor(run), Predictor(run, value_range=(0, 4095))
    assert np.array_equal(ranged(image).semantic, plain(image).semantic)


@pytest.mark.slow
def test_there_are_no_windows_of_photos_with_depth(run: Path, photos: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    path = photos / "photos/a.png"
    tifffile.imwrite(path.with_suffix(".tif"), np.zeros((64, 64, 4), np.uint8), photometric="rgb")
    words = arguments(run, photos)
    words[3] = str(path.with_suffix(".tif"))
    with pytest.raises(UsageError, match="windows: expected a model of photos without depth"):
        main([*words, "--windows", "true", "--tile", "64", "--overlap", "32"])


def test_a_step_that_is_no_length_is_refused(run: Path, photos: Path) -> None:
    with pytest.raises(UsageError, match=r"depth_step: expected meters above 0, found 0\.0"):
        main([*arguments(run, photos), "--depth", str(photos / "depth"), "--depth_step", "0"])


@pytest.mark.slow
def test_a_model_without_depth_takes_none(trained: Path, photos: Path) -> None:
    with pytest.raises(UsageError, match="depth: the model takes no depth: leave it out"):
        main([*arguments(trained, photos), "--depth", str(photos / "depth")])
    with pytest.raises(UserError, match="an image without depth, as the model takes none"):
        Predictor(trained)(PhotoWithDepth(photos / "photos/a.png", photos / "depth/a.png"))
