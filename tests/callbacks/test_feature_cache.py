"""Trainings on the features of a frozen encoder: the same with and without a cache, and what cannot be kept."""

import errno
import shutil
from collections import namedtuple
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from fusionseg.callbacks.feature_files import needed
from fusionseg.commands import fit as command
from fusionseg.config.errors import UserError
from fusionseg.data import feature_file
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.frozen_features import FrozenFeatures
from fusionseg.data.samples import TrainSamples
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.encoder_features import EncoderFeatures
from fusionseg.files.atomic import replacing
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.runs.folder import RunFolder
from fusionseg.trainer import Trainer

LIGHT = Backbone("tu-test_efficientnet", decoder="LightPyramid", options={"width": 32, "layers": 1})
TWICE = FrozenFeatures(2)


def data(folder: Path | None, features: FrozenFeatures = TWICE, **options: Any) -> SegmentationDataModule:
    """Images whose sides are no multiples of 32."""
    given = {"batch_size": 2, "crop_size": (64, 96), "workers": 0, "eval_batch_size": 2, "seed": 5, **options}
    cache = None if folder is None else str(folder)
    scenes = partial(SyntheticScenes, length=4, size=(80, 104))
    return SegmentationDataModule(scenes, features=features, cache_dir=cache, **given)


def model(**options: Any) -> FusionModule:
    torch.manual_seed(0)
    return FusionModule(SyntheticScenes.classes, **{"freeze_encoder_epochs": 3, "backbone": LIGHT, **options})


def fit(
    out: Path,
    module: FusionModule,
    images: SegmentationDataModule,
    checkpoint: Path | None = None,
    **options: Any,
) -> None:
    given = {"max_epochs": 3, "accelerator": "cpu", "precision": "32-true", **options}
    trainer = Trainer(default_root_dir=out, **given)
    trainer.fit(module, images, ckpt_path=checkpoint, weights_only=True)


def assert_same(one: FusionModule, other: FusionModule) -> None:
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_cache_changes_no_bit_of_a_training(tmp_path: Path, precision: str) -> None:
    kept, anew = model(), model()
    fit(tmp_path / "kept", kept, data(tmp_path / "cache"), precision=precision)
    fit(tmp_path / "anew", anew, data(None, FrozenFeatures(2, cached=False)), precision=precision)
    assert_same(kept, anew)
    assert (tmp_path / "kept" / "metrics.csv").read_text() == (tmp_path / "anew" / "metrics.csv").read_text()
    begun = model().state_dict()
    learned = {name for name, value in kept.state_dict().items() if not torch.equal(value, begun[name])}
    assert any(name.startswith("network.decoders") for name in learned)
    assert not any(name.startswith("network.encoder") for name in learned)
    assert all(parameter.requires_grad for parameter in kept.network.decoders.parameters())


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every call that computes features."""
    calls: list[int] = []
    original = EncoderFeatures.of

    def of(self: EncoderFeatures, image: torch.Tensor) -> torch.Tensor:
        calls.append(len(image))
        return original(self, image)

    monkeypatch.setattr(EncoderFeatures, "of", of)
    return calls


@pytest.mark.slow
def test_runs_of_other_seeds_heads_and_more_views_share_what_was_computed(
    tmp_path: Path, computed: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    fit(tmp_path / "first", model(), data(cache), max_epochs=1)
    assert sum(computed) == 2 * 4 + 4
    size = sum(file.stat().st_size for file in cache.glob("*.values"))
    said = f"{size / 2**20:.2f} MiB to write into {cache}, of 2 views of 4 training images and 4 validation images"
    assert said in capsys.readouterr().err
    fit(tmp_path / "second", model(region_head=None, beta=0.0), data(cache, seed=6), max_epochs=1)
    assert sum(computed) == 2 * 4 + 4
    fit(tmp_path / "third", model(), data(cache, FrozenFeatures(3)), max_epochs=1)
    assert sum(computed) == 3 * 4 + 4
    assert "of 1 views of 4 training images at strides 8, 16, 32" in capsys.readouterr().err
    fit(
        tmp_path / "fourth",
        model(backbone=Backbone("small_cnn", decoder="LightPyramid")),
        data(cache),
        max_epochs=1,
    )
    assert sum(computed) == (3 + 2) * 4 + 2 * 4


def test_the_files_hold_what_the_encoder_gives_for_each_view(tmp_path: Path) -> None:
    module, images = model(), data(tmp_path)
    fit(tmp_path / "run", module, images, max_epochs=1)
    encoder = module.network.encoder.eval()
    views = TrainSamples(images.datasets["train"], images.augmentation, (64, 96), 1.0, 0)
    for variant, kept in enumerate(images.computed["train"].files):
        for index in range(4):
            image = views[(variant, index, 0)]["image"][None].float() / 255
            with torch.no_grad():
                maps = encoder.body((image - encoder.mean) / encoder.std)[3:]
            expected = torch.cat([level.flatten() for level in maps])
            torch.testing.assert_close(kept.read(index).float(), expected, rtol=2**-8, atol=1e-3)
    whole = np.pad(images.datasets["val"].read(1).image, ((0, 16), (0, 24), (0, 0)), "edge")
    image = torch.from_numpy(whole).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        maps = encoder.body((image - encoder.mean) / encoder.std)[3:]
    expected = torch.cat([level.flatten() for level in maps])
    torch.testing.assert_close(
        images.computed["val"].files[0].read(1).float(), expected, rtol=2**-8, atol=1e-3
    )


@pytest.mark.slow
def test_a_training_of_so_many_steps_is_as_one_of_as_many_epochs(tmp_path: Path) -> None:
    by_steps, by_epochs = model(freeze_encoder_epochs=2), model(freeze_encoder_epochs=2)
    fit(tmp_path / "steps", by_steps, data(tmp_path / "cache"), max_epochs=-1, max_steps=4)
    fit(tmp_path / "epochs", by_epochs, data(tmp_path / "cache"), max_epochs=2)
    assert_same(by_steps, by_epochs)


class Killed(Callback):
    """Ends a training after its second epoch."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == 2:
            raise ZeroDivisionError


@pytest.mark.slow
def test_a_run_goes_on_to_the_last_bit_even_if_the_cache_is_gone(tmp_path: Path) -> None:
    whole, resumed = model(), model()
    fit(tmp_path / "whole", whole, data(tmp_path / "cache"))
    with pytest.raises(ZeroDivisionError):
        fit(tmp_path / "run", model(), data(tmp_path / "cache"), callbacks=[Killed()])
    shutil.rmtree(tmp_path / "cache")
    fit(tmp_path / "run", resumed, data(tmp_path / "cache"), RunFolder(tmp_path / "run").last)
    assert_same(whole, resumed)


@pytest.mark.parametrize(
    ("options", "cache", "limits", "expected"),
    [
        (
            {"freeze_encoder_epochs": 2},
            True,
            {},
            "model.freeze_encoder_epochs: expected an encoder that is frozen for the whole training, found 2 of 3",
        ),
        (
            {},
            True,
            {"max_epochs": -1, "max_steps": 7},
            "model.freeze_encoder_epochs: expected an encoder that is frozen for the whole training, found 3 of 4",
        ),
        (
            {},
            True,
            {"max_epochs": -1},
            "trainer.max_epochs: expected a number of epochs or steps with data.features, whose encoder .* found neither",
        ),
        (
            {"batch_norm": "reestimated"},
            True,
            {},
            "model.batch_norm: expected train or frozen with data.features",
        ),
        ({}, False, {}, "data.cache_dir: expected a folder for data.features, found null"),
    ],
)
def test_an_encoder_that_changes_and_a_missing_folder_are_refused(
    options: dict[str, Any], cache: bool, limits: dict[str, int], expected: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"^{expected}") as error:
        fit(tmp_path / "run", model(**options), data(tmp_path / "cache" if cache else None), **limits)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()


def test_a_full_disk_is_told_before_and_while_features_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(feature_file.shutil, "disk_usage", lambda _: usage(2**20, 2**20, 1024))
        with pytest.raises(
            UserError, match=r"^expected room for 0.\d+ MiB of features in .*, found 0.00 MiB free: "
        ):
            fit(tmp_path / "run", model(), data(tmp_path / "cache"))

    def full(path: Path) -> Any:
        if path.suffix == ".values":
            raise OSError(errno.ENOSPC, "No space left on device")
        return replacing(path)

    monkeypatch.setattr(feature_file, "replacing", full)
    stopped = model()
    with pytest.raises(
        UserError, match=r"^expected room for features, found none left in .*: set data.cache_dir"
    ):
        fit(tmp_path / "run", stopped, data(tmp_path / "cache"))
    assert all(parameter.requires_grad for parameter in stopped.parameters())
    assert not list((tmp_path / "cache").iterdir())
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_features_of_other_weights_under_the_name_of_ours_are_refused(tmp_path: Path) -> None:
    fit(tmp_path / "run", model(), data(tmp_path / "cache"), max_epochs=1)
    other, images = model(), data(tmp_path / "cache")
    next(other.network.encoder.parameters()).data.mul_(2)
    other.network.arrange("cpu", "32-true")
    images.setup("fit")
    wanted = needed(images, TWICE, EncoderFeatures(other.network))[0]
    found = next((tmp_path / "cache").glob("*train*.values"))
    for suffix in (".values", ".json"):
        shutil.copy(found.with_suffix(suffix), wanted.file.with_suffix(suffix))
    with pytest.raises(
        UserError, match=r"^expected features of this encoder, its weights and .* in .*values: remove"
    ) as error:
        fit(tmp_path / "other", other, images)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_the_command_line_trains_on_kept_features(tiny: list[str], tmp_path: Path) -> None:
    keeping = ["--data.features.variants", "1", "--data.cache_dir", str(tmp_path / "cache")]
    frozen = ["--model.freeze_encoder_epochs", "2", "--trainer.limit_val_batches", "1"]
    command.main([*tiny, *keeping, *frozen, "--out", str(tmp_path / "run")])
    assert len(list((tmp_path / "cache").glob("*.values"))) == 2
    command.main(["--resume", str(tmp_path / "run"), "--trainer.max_epochs", "2"])
