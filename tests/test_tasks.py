"""A task of one's own takes part in all that there is, although no line of the package knows of it."""

import csv
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest
import torch
from lightning.pytorch import seed_everything
from torch import Tensor, nn

from benchmarks.running import same
from fusionseg.callbacks import pictures
from fusionseg.commands import evaluate, predict
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.files.images import write_png
from fusionseg.files.photos import read_image
from fusionseg.heads import ExtraHead, Head
from fusionseg.heads.base import resized, scaled
from fusionseg.metrics import ImageMetric
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.runs.wandb_logger import RunLogger
from fusionseg.sample import Classes, Counted, Frame, Picture, Sample, Truth
from fusionseg.trainer import Trainer

SMALL = Backbone("tu-test_efficientnet", options={"decoder_channels": [16, 16, 8, 8, 8]})


def altitude(height: int, width: int) -> Tensor:
    """How high each pixel (H, W) of a picture is: 1 in the first row, 0 in the last."""
    return torch.linspace(1, 0, height)[:, None].expand(height, width)


class AltitudeError(ImageMetric):
    """The mean absolute error of altitudes."""

    answer = "altitude"

    def __init__(self) -> None:
        super().__init__({"altitude_errors": np.zeros(2)})

    def sums(self, answer: npt.NDArray[Any], truth: Truth) -> Counted:
        errors = np.abs(answer - altitude(*truth.semantic.shape).numpy())
        return {"altitude_errors": np.array([errors.sum(dtype=np.float64), errors.size])}

    def figures(self, sums: Counted) -> dict[str, float]:
        error, pixels = sums["altitude_errors"]
        return {"altitude_mae": float(error / pixels) if pixels else float("nan")}


class AltitudeHead(Head):
    """Says how high each pixel is in its picture."""

    task: ClassVar[str] = "altitude"

    def __init__(self, in_channels: int, steepness: float = 1.0) -> None:
        super().__init__()
        self.layer = nn.Conv2d(in_channels, 1, 1)
        self.steepness = steepness

    def forward(self, features: Tensor) -> Tensor:
        return self.layer(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> Tensor:
        number, _, height, width = batch["image"].shape
        return altitude(height, width).to(batch["image"].device).expand(number, 1, height, width)

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        errors = self.steepness * scaled(output.float(), target.shape[-2:]) - target
        return errors.square().sum()[None], torch.full((1,), float(errors.numel()))

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        return self.steepness * resized(output, frame).squeeze(1)

    def ideal(self, target: Tensor) -> Tensor:
        return target / self.steepness

    def metrics(self, classes: Classes) -> list[ImageMetric]:
        return [AltitudeError()]

    def truth(self, truth: Truth) -> npt.NDArray[Any]:
        return altitude(*truth.semantic.shape).numpy()

    def draw(self, labels: npt.NDArray[Any], classes: Classes) -> Picture:
        levels = np.rint(255 * labels.clip(0, 1)).astype(np.uint8)
        return np.stack([levels, 255 - levels, levels], axis=2)


class Tracked(RunLogger):
    """W&B's logger, with a run that is a list."""

    def __init__(self) -> None:
        super().__init__(Path("nowhere"), "as asked")
        self.rows: list[dict[str, Any]] = []
        self.run = SimpleNamespace(
            id="abc", project="fusionseg", config={}, summary={}, log=self.rows.append, define_metric=None
        )

    @property
    def experiment(self) -> Any:
        return self.run

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append(metrics)

    def finalize(self, status: str) -> None:
        """Nothing is open."""


def model() -> FusionModule:
    seed_everything(0, verbose=False)
    further = {"altitude": ExtraHead(partial(AltitudeHead, steepness=2.0), 0.5)}
    return FusionModule(SyntheticScenes.classes, backbone=SMALL, extra_heads=further)


def trained(folder: Path, resumes: bool = False, **options: Any) -> FusionModule:
    """The model after two epochs of three steps, or so many steps as `options` say."""
    module = model()
    scenes = partial(SyntheticScenes, length=6, size=(72, 64))
    data = SegmentationDataModule(scenes, batch_size=2, crop_size=(64, 64), workers=0)
    fixed: dict[str, Any] = {"precision": "32-true", "log_every_n_steps": 1, "max_epochs": 2}
    trainer = Trainer(default_root_dir=folder, **fixed | options)
    trainer.fit(module, data, ckpt_path=folder / "checkpoints" / "last.ckpt" if resumes else None)
    return module


@pytest.fixture(scope="module")
def panels() -> list[list[str]]:
    """The titles of the columns of each panel."""
    return []


@pytest.fixture(scope="module")
def tracked() -> Tracked:
    return Tracked()


@pytest.fixture(scope="module")
def run(
    tracked: Tracked, panels: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("altitude") / "run"
    drawn = pictures.panel

    def watched(rows: Any, *more: Any) -> Picture:
        panels.append(list(rows[0]))
        return drawn(rows, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        patch.setenv("PL_GLOBAL_SEED", "0")
        patch.setattr(pictures, "panel", watched)
        trained(folder, logger=tracked)
        yield folder


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def by_hand(module: FusionModule, data: SegmentationDataModule) -> float:
    """The error of the validation images, one by one."""
    data.setup("validate")
    errors = []
    for i in range(6):
        truth = data.datasets["val"].truth(i)
        image = torch.from_numpy(data.datasets["val"].read(i).image).permute(2, 0, 1)[None]
        (answer,) = module.predictions({"image": image, "name": ["x"]}, truth.semantic.shape)
        for row, value in enumerate(np.linspace(1, 0, truth.semantic.shape[0])):
            errors.append(np.abs(answer["altitude"][row] - value).mean())
    return float(np.mean(errors))


@pytest.mark.slow
def test_its_loss_is_trained_with_its_weight_and_logged(run: Path) -> None:
    rows = [row for row in rows_of(run) if row["train/loss"]]
    assert len(rows) == 6
    for row in rows:
        parts = {task: float(row[f"train/loss_{task}"]) for task in ("semantic", "region", "altitude")}
        total = parts["semantic"] + parts["region"] + 0.5 * parts["altitude"]
        assert float(row["train/loss"]) == pytest.approx(total, rel=1e-5)
    assert float(rows[-1]["train/loss_altitude"]) < float(rows[0]["train/loss_altitude"])


def test_it_is_validated_with_its_own_metric(run: Path) -> None:
    *_, last = [row for row in rows_of(run) if row["val/score"]]
    module = FusionModule.load_from_checkpoint(run / "checkpoints" / "last.ckpt", weights_only=True).eval()
    data = SegmentationDataModule(partial(SyntheticScenes, length=6, size=(72, 64)), crop_size=(64, 64))
    assert float(last["val/altitude_mae"]) == pytest.approx(by_hand(module, data), rel=1e-4)
    assert 0 < float(last["val/loss_altitude"]) < 10
    summary = json.loads((run / "summary.json").read_text())
    assert summary["metrics"]["val/altitude_mae"] == pytest.approx(float(last["val/altitude_mae"]))


def test_the_score_is_still_that_of_classes_and_regions(run: Path) -> None:
    *_, last = [row for row in rows_of(run) if row["val/score"]]
    expected = (float(last["val/miou"]) * float(last["val/covering"])) ** 0.5
    assert float(last["val/score"]) == pytest.approx(expected, rel=1e-5)


def test_it_is_in_the_panel_of_pictures(run: Path, panels: list[list[str]]) -> None:
    assert len(panels) == 2
    for titles in panels:
        assert titles == [
            "image",
            *(f"{task} {side}" for task in ("semantic", "region") for side in ("truth", "prediction")),
            *("altitude truth", "altitude prediction"),
            *("fused", "panoptic truth", "panoptic"),
        ]
    assert (run / "pictures" / "epoch_001.png").is_file()


def test_it_is_sent_to_wandb(run: Path, tracked: Tracked) -> None:
    figures = [row["val/altitude_mae"] for row in tracked.rows if "val/altitude_mae" in row]
    assert figures == pytest.approx([float(r["val/altitude_mae"]) for r in rows_of(run) if r["val/score"]])
    assert sum("val/panel" in row for row in tracked.rows) == 2
    epoch = tracked.run.summary["best/epoch"]
    assert tracked.run.summary["val/altitude_mae"] == pytest.approx(figures[epoch])
    assert tracked.run.config["model"]["init_args"]["extra_heads"]["altitude"]["weight"] == 0.5


@pytest.mark.slow
def test_it_is_evaluated_from_the_run_folder_alone(run: Path) -> None:
    evaluate.main(["--run", str(run), "--pictures", "1", "--trust", "tests"])
    metrics = json.loads((run / "evaluation" / "val.json").read_text())["metrics"]
    best = json.loads((run / "summary.json").read_text())["best"]["metrics"]
    assert metrics["altitude_mae"] == pytest.approx(best["val/altitude_mae"], rel=1e-5)
    with np.load(run / "evaluation" / "val.npz") as file:
        error, pixels = file["altitude_errors"].sum(0)
        assert file["altitude_errors"].shape == (6, 2)
    assert pixels == 6 * 72 * 64
    assert error / pixels == pytest.approx(metrics["altitude_mae"])
    with (run / "evaluation" / "val.csv").open() as file:
        each = [float(row["altitude_mae"]) for row in csv.DictReader(file)]
    assert np.mean(each) == pytest.approx(metrics["altitude_mae"])


@pytest.mark.slow
def test_it_is_predicted_as_an_array_and_a_picture(run: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "photos" / "gray.png", np.full((40, 50, 3), 128, np.uint8))
    predict.main(
        [
            "--run",
            str(run),
            "--trust=tests",
            "--images",
            str(tmp_path / "photos"),
            "--out",
            str(tmp_path / "out"),
        ]
    )
    found = np.load(tmp_path / "out" / "altitude" / "gray.npy")
    assert found.shape == (40, 50)
    drawn = read_image(tmp_path / "out" / "altitude" / "gray.png")
    np.testing.assert_array_equal(drawn, AltitudeHead(1).draw(found, SyntheticScenes.classes))


def test_a_checkpoint_alone_rebuilds_it(run: Path) -> None:
    path = run / "checkpoints" / "last.ckpt"
    again = FusionModule.load_from_checkpoint(path, weights_only=True)
    head = again.network.heads["altitude"]
    assert isinstance(head, AltitudeHead)
    assert head.steepness == 2.0
    assert again.objective.weights == {"semantic": 1.0, "region": 1.0, "altitude": 0.5}
    saved = torch.load(path, weights_only=True)["state_dict"]
    assert same(dict(again.state_dict()), saved)


@pytest.mark.slow
def test_it_resumes_bit_for_bit(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")

    class PowerCut(BaseException):
        """The end of a process."""

    step = FusionModule.training_step

    def cut(module: FusionModule, batch: Sample, batch_idx: int) -> Tensor:
        if module.global_step == 4:
            raise PowerCut
        return step(module, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(FusionModule, "training_step", cut)
        with pytest.raises(PowerCut):
            trained(tmp_path / "cut", save_every_n_minutes=0)
    trained(tmp_path / "cut", resumes=True, save_every_n_minutes=0)
    one, other = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
        for folder in (run, tmp_path / "cut")
    )
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "losses", "global_step"):
        assert same(one[key], other[key]), key
    assert (run / "metrics.csv").read_bytes() == (tmp_path / "cut" / "metrics.csv").read_bytes()
