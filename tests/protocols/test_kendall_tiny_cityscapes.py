"""Kendall et al. on Tiny CityScapes: section 4, table 1 and appendix A of arXiv:1705.07115, restated."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from fusionseg.commands.evaluate import EvaluateCLI
from fusionseg.commands.evaluate import main as evaluate
from fusionseg.commands.fit import main
from fusionseg.config.lightning_messages import quiet
from fusionseg.data.base import Pixels, SegmentationDataset
from fusionseg.metrics.suite import total
from fusionseg.sample import Classes, Prediction, Truth

FILE = Path(__file__).parents[2] / "experiments/protocols/kendall_tiny_cityscapes.yaml"
SIZE = (128, 256)
TRAINING = 2975
ITERATIONS = 50_000
INSTANCES = range(11, 19)
FIXED = ["--config", str(FILE), "--data.workers", "0", "--run", "none"]
SMALL = [
    *("--model.backbone.encoder", "mobilenet_v2", "--model.backbone.decoder", "FPN"),
    *("--model.backbone.options", "{}"),
]

Maps = npt.NDArray[Any]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """OpenCV works in one thread, so that tests beside each other do not wait."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(0)
    yield
    cv2.setNumThreads(before)


class Noise(SegmentationDataset):
    """Images in which no two pixels are alike, so that a view shows what was done to it."""

    classes = Classes(names=("a",), colors=((0, 0, 0),))

    def __len__(self) -> int:
        return TRAINING

    def name(self, index: int) -> str:
        return str(index)

    def read(self, index: int) -> Pixels:
        rng = np.random.default_rng(index)
        labels = np.zeros(SIZE, np.uint8)
        image = rng.integers(0, 256, (*SIZE, 3), np.uint8)
        return Pixels(image, labels, labels.astype(np.uint16) + np.uint16(1))


@pytest.fixture
def built(cityscapes: Path) -> EvaluateCLI:
    """The protocol as the command line builds it, with a small network and on few images."""
    return EvaluateCLI([*FIXED, *SMALL, "--data.dataset.root", str(cityscapes)])


@pytest.fixture
def views(built: EvaluateCLI) -> Any:
    """The batches of training on as many images as Cityscapes has."""
    data: Any = built.datamodule
    data.cache = "none"
    data.dataset = Noise
    data.datasets.clear()
    return data.train_dataloader()


@pytest.mark.slow
def test_the_rate_falls_from_2_5e_3_with_the_power_0_9_over_50_thousand_iterations(
    built: EvaluateCLI,
) -> None:
    model: Any = built.model
    optimizer = model.optimizer([nn.Parameter(torch.zeros(1))])
    group = optimizer.param_groups[0]
    assert isinstance(optimizer, torch.optim.SGD)
    assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.9, True, 1e-4)
    assert model.fine_tuning.encoder_lr == 1, "the paper has one rate for all"
    scheduler = model.schedule.configured(optimizer, ITERATIONS)["lr_scheduler"]
    assert scheduler["interval"] == "step"
    rates = []
    for _ in range(ITERATIONS):
        rates.append(group["lr"])
        optimizer.step()
        scheduler["scheduler"].step()
    for i in (0, 1, 371, 10_000, 25_000, 40_000, 49_999):
        assert rates[i] == pytest.approx(2.5e-3 * (1 - i / 50_000) ** 0.9, rel=1e-9)


class Planned(pl.LightningModule):
    """Keeps the number of steps that Lightning plans."""

    def __init__(self) -> None:
        super().__init__()
        self.parameter = nn.Parameter(torch.zeros(1))

    def configure_optimizers(self) -> Any:
        self.planned = self.trainer.estimated_stepping_batches
        return torch.optim.SGD([self.parameter])

    def training_step(self, batch: Any, _: int) -> Tensor:
        self.trainer.should_stop = True
        return self.parameter.sum()


@pytest.mark.slow
def test_50_thousand_iterations_are_planned_in_epochs_of_371(
    views: Any, built: EvaluateCLI, plan: Any
) -> None:
    given: Any = built.config.as_dict()["trainer"]
    assert len(views) == TRAINING // 8 == 371
    assert (given["max_epochs"] - 1) * 371 < ITERATIONS <= given["max_epochs"] * 371
    module = Planned()
    with quiet():
        plan(max_epochs=given["max_epochs"], max_steps=given["max_steps"]).fit(module, views)
    assert module.planned == ITERATIONS


@pytest.mark.slow
def test_images_are_seen_whole_and_half_of_them_mirrored(views: Any) -> None:
    mirrored = 0
    for index in range(200):
        whole = Noise("train").read(index).image.transpose(2, 0, 1)
        view = views.dataset[0, index]["image"].numpy()
        turned = np.array_equal(view, whole[..., ::-1])
        assert turned or np.array_equal(view, whole)
        mirrored += turned
    # 7.07 is the standard deviation
    assert abs(mirrored - 100) < 4 * 7.07


def per_pixel(outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> tuple[float, float, float]:
    """The losses of section 4, pixel by pixel: of classes, of vectors to centroids and of disparity."""
    logits, vectors, x = (
        nn.functional.interpolate(outputs[task].double(), SIZE, mode="bilinear").numpy()
        for task in ("semantic", "region", "disparity")
    )
    semantic, region, disparity = (batch[kind].numpy() for kind in ("semantic", "region", "disparity"))
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    predicted = 4.0 * np.log1p(np.exp(x[:, 0]))
    cross_entropy, l1, depth = [], [], []
    for image in range(len(semantic)):
        members: dict[int, list[tuple[int, int]]] = {}
        for row, column in np.ndindex(*SIZE):
            label = int(semantic[image, row, column])
            if label != 255:
                cross_entropy.append(-log_p[image, label, row, column])
            if disparity[image, row, column]:
                depth.append(abs(predicted[image, row, column] - float(disparity[image, row, column])))
            if label in INSTANCES and region[image, row, column]:
                members.setdefault(int(region[image, row, column]), []).append((row, column))
        for pixels in members.values():
            y, x_mean = np.mean(pixels, 0)
            for row, column in pixels:
                down, right = vectors[image, :, row, column]
                l1.append(abs(down - (y - row)) + abs(right - (x_mean - column)))
    assert min(len(cross_entropy), len(l1), len(depth)) > 1000
    return float(np.mean(cross_entropy)), float(np.mean(l1)), float(np.mean(depth))


NO_CLASSES, NO_INSTANCES, NO_DEPTH = (
    ["--model.semantic_head", "null"],
    ["--model.region_head", "null"],
    ["--model.extra_heads", "null"],
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("left_out", "tasks"),
    [
        ([*NO_INSTANCES, *NO_DEPTH], ["semantic"]),
        ([*NO_CLASSES, *NO_DEPTH], ["region"]),
        ([*NO_CLASSES, *NO_INSTANCES], ["disparity"]),
        (NO_DEPTH, ["semantic", "region"]),
        (NO_INSTANCES, ["semantic", "disparity"]),
        (NO_CLASSES, ["region", "disparity"]),
    ],
    ids=lambda value: "+".join(value) if "--" not in value[0] else "",
)
def test_tasks_are_left_out_for_the_other_rows_of_table_1(
    left_out: list[str], tasks: list[str], cityscapes: Path
) -> None:
    model: Any = EvaluateCLI([*FIXED, *SMALL, "--data.dataset.root", str(cityscapes), *left_out]).model
    assert model.tasks == tasks
    errors = {"region": "instance_error", "disparity": "disparity_abs_error", "semantic": "miou"}
    assert {errors[task] for task in tasks} == {*errors.values()} & {*model.suite.names}


@pytest.mark.slow
@pytest.mark.parametrize("tasks", ["all", "equal weights", "approximately optimal weights"])
def test_the_loss_of_a_batch_is_that_of_section_4(tasks: str, cityscapes: Path) -> None:
    args = [*FIXED, *SMALL, "--data.dataset.root", str(cityscapes), "--data.batch_size", "2"]
    weights = np.ones(3)
    if tasks != "all":
        weights = np.array([1, 1, 1]) / 3 if tasks == "equal weights" else np.array([0.89, 0.01, 0.1])
        names = ("alpha", "beta", "extra_heads.disparity.weight")
        args += [
            part for pair in zip(names, weights, strict=True) for part in (f"--model.{pair[0]}", str(pair[1]))
        ]
        args += ["--model.balancer", "Sum"]
    cli = EvaluateCLI(args)
    model, data = cli.model, cli.datamodule
    data.setup("fit")
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch["image"].shape == (2, 3, *SIZE)
    if tasks == "all":
        log_variances = torch.tensor([-0.5, 2.0, 1.0])
        model.balancer.log_variance.value.copy_(log_variances)
        weights = np.exp(-log_variances.numpy()) / 2
    with torch.no_grad():
        refinements = model(batch["image"])
        step = model.objective.step(refinements, batch, (0, 0))
    expected = per_pixel(refinements[-1], batch)
    assert float(step.loss) == pytest.approx(float(weights @ np.array(expected)), rel=1e-5)


def true_maps(rng: np.random.Generator) -> Truth:
    """Random labels: classes and void, instances, and disparity in half of the pixels."""
    shape = (9, 14)
    semantic = rng.choice([0, 5, 11, 13, 255], shape)
    known = rng.random(shape) < 0.5
    maps = {"disparity": np.where(known, rng.uniform(0.1, 20, shape), 0).astype(np.float32)}
    return Truth(semantic, rng.integers(0, 4, shape), maps=maps)


def by_hand(pairs: list[tuple[Prediction, Truth]]) -> tuple[float, float]:
    """The instance mean error and the inverse depth mean error of table 1, pixel by pixel."""
    vectors, depths = [], []
    for prediction, truth in pairs:
        members: dict[int, list[tuple[int, int]]] = {}
        for row, column in np.ndindex(*truth.semantic.shape):
            if true := float(truth.maps["disparity"][row, column]):
                depths.append(abs(float(prediction["disparity"][row, column]) - true))
            if truth.semantic[row, column] in INSTANCES and truth.region[row, column]:
                members.setdefault(int(truth.region[row, column]), []).append((row, column))
        for pixels in members.values():
            center = [sum(axis) / len(pixels) for axis in zip(*pixels, strict=True)]
            for row, column in pixels:
                down, right = (float(v) for v in prediction["offsets"][:, row, column])
                vectors.append(abs(down - (center[0] - row)) + abs(right - (center[1] - column)))
    return sum(vectors) / len(vectors), sum(depths) / len(depths)


@pytest.mark.slow
def test_errors_in_pixels_are_those_of_table_1_on_a_thousand_random_maps(built: EvaluateCLI) -> None:
    suite: Any = built.model.suite
    rng = np.random.default_rng(0)
    pairs = []
    for index in range(1000):
        truth = true_maps(rng)
        shape = truth.semantic.shape
        maps = {"offsets": rng.normal(0, 9, (2, *shape)), "disparity": rng.uniform(0.1, 20, shape)}
        pairs.append((Prediction(str(index), maps), truth))
    figures = suite.figures(total(suite.sums(*pair) for pair in pairs))
    errors = figures["instance_error"], figures["disparity_abs_error"]
    assert errors == pytest.approx(by_hand(pairs), rel=1e-12)


@pytest.mark.slow
def test_a_validated_model_has_the_errors_that_its_losses_are(cityscapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    args = ["--config", str(FILE), *SMALL, "--data.workers", "0", "--data.batch_size", "2", "--out", str(out)]
    limits = ["--trainer.max_epochs=1", "--trainer.check_val_every_n_epoch=1"]
    main([*args, *limits, "--data.dataset.root", str(cityscapes)])
    figures = json.loads((out / "summary.json").read_text())["metrics"]
    # of one image, and without padding, both are the same mean over pixels
    assert figures["val/instance_error"] == pytest.approx(figures["val/loss_region"], rel=1e-4)
    assert figures["val/disparity_abs_error"] == pytest.approx(figures["val/loss_disparity"], rel=1e-4)
    assert 0 <= figures["val/miou"] <= 1
    evaluate(["--run", str(out), "--data.dataset.root", str(cityscapes)])
    again = json.loads((out / "evaluation/val.json").read_text())["metrics"]
    for name in ("miou", "instance_error", "disparity_abs_error"):
        assert again[name] == pytest.approx(figures[f"val/{name}"], rel=1e-4)
