"""Study folders as a driver leaves them, with real sums of images, but without any training."""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from fusionseg.files.atomic import write_json
from fusionseg.metrics import (
    BoundaryMetrics,
    FusedMetrics,
    MetricSuite,
    PanopticQuality,
    RegionMetrics,
    SemanticMetrics,
)
from fusionseg.runs.image_records import ImageRecords
from fusionseg.sample import Array, Counted, Prediction, Truth
from fusionseg.studies.folder import StudyFolder

CLASSES = ("sky", "road", "car", "person")
THINGS = (2, 3)
SIZE = (24, 32)


@dataclass
class Variant:
    """A variant of a study to write.

    Args:
        skill: The share of pixels that it predicts as they are, of classes and of regions.
        settings: What it sets.
        point: Where it is on the axes.
        tasks: What it predicts.
        status: How the runs of some seeds ended, other than `finished`.
    """

    skill: tuple[float, float] = (0.8, 0.8)
    settings: dict[str, Any] = field(default_factory=dict)
    point: dict[str, Any] = field(default_factory=dict)
    tasks: tuple[str, ...] = ("semantic", "region")
    status: dict[int, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[int, int]:
        """What the chance of a variant depends on."""
        return (round(1e6 * self.skill[0]), round(1e6 * self.skill[1]))


def truth_of(image: int) -> Truth:
    """Blocks of random classes, each a region."""
    rng = np.random.default_rng((1, image))
    blocks = rng.integers(0, len(CLASSES), (3, 4))
    blocks[0] = 0
    semantic = np.kron(blocks, np.ones((8, 8), int)).astype(np.uint8)
    region = np.kron(np.arange(1, 13).reshape(3, 4), np.ones((8, 8), int))
    region[semantic == 0] = 1
    return Truth(semantic, region.astype(np.int32))


def answers(truth: Truth, variant: Variant, rng: np.random.Generator) -> dict[str, Array]:
    """Predictions in which pixels are exchanged with others of the image, fewer the higher the skill."""
    maps: dict[str, Array] = {}
    for task, skill in zip(("semantic", "region"), variant.skill, strict=True):
        labels = getattr(truth, task).copy()
        wrong = rng.random(labels.shape) > np.clip(skill + rng.normal(0, 0.02), 0, 1)
        labels[wrong] = rng.permutation(labels.ravel())[: wrong.sum()]
        if task in variant.tasks:
            maps[task] = labels
    if len(maps) == 2:
        maps["fused"] = maps["semantic"]
        maps["panoptic"] = maps["semantic"].astype(np.int32) * 65536 + np.where(
            np.isin(maps["semantic"], THINGS), maps["region"], 0
        )
    return maps


def suite_of(variant: Variant) -> MetricSuite:
    """The metrics of a variant's heads."""
    number = len(CLASSES)
    metrics: list[Any] = [SemanticMetrics(number)] if "semantic" in variant.tasks else []
    metrics += [RegionMetrics(), BoundaryMetrics()] if "region" in variant.tasks else []
    metrics += [FusedMetrics(number), PanopticQuality(number, THINGS)] if len(variant.tasks) == 2 else []
    return MetricSuite(metrics)


def write_evaluation(
    folder: Path, split: str, variant: Variant, seed: int, options: Mapping[str, Any]
) -> dict[str, float]:
    """Writes an evaluation of made-up predictions and returns its figures."""
    suite = suite_of(variant)
    images, groups = options["images"], options["groups"]
    # a seed is a little better or worse with every image
    luck = np.random.default_rng((2, seed)).normal(0, 0.01, 2) + np.random.default_rng(
        (3, seed, *variant.key)
    ).normal(0, 0.006, 2)
    lucky = Variant((variant.skill[0] + luck[0], variant.skill[1] + luck[1]), tasks=variant.tasks)
    first = 0 if split == "val" else 1000
    with closing(ImageRecords(folder / "evaluation")) as records:
        for image in range(images):
            truth = truth_of(first + image)
            rng = np.random.default_rng((4, seed, image, *variant.key))
            sums: Counted = suite.sums(Prediction("", answers(truth, lucky, rng)), truth)
            group = f"sequence {image * groups // images}" if groups else None
            records.add(f"{split}-{image:03d}", suite.figures(sums), sums, group)
        figures = suite.figures(records.total)
        columns = suite.per_class(records.total)
        per_class = {
            name: {key: values[i] for key, values in columns.items()} for i, name in enumerate(CLASSES)
        }
        result = {"metrics": figures, "per_class": per_class, "notes": [], "split": split, "images": images}
        result["checkpoint"] = options["epoch"]
        things = {"things": [CLASSES[i] for i in THINGS], "region": "a block"}
        write_json(folder / "evaluation" / f"{split}.json", result | things)
        records.write_csv(folder / "evaluation" / f"{split}.csv")
        records.write_npz(folder / "evaluation" / f"{split}.npz")
    return figures


def write_curves(path: Path, figures: Mapping[str, float], epochs: int, seed: int) -> None:
    """Writes a `metrics.csv` that ends with the figures."""
    rng = np.random.default_rng((5, seed))
    with path.open("w", newline="") as file:
        main = [name for name in ("score", "miou", "covering", "pq") if name in figures]
        writer = csv.DictWriter(file, ["epoch", "step", "train/loss", *(f"val/{name}" for name in main)])
        writer.writeheader()
        for epoch in range(epochs):
            grown = (
                1 - math.exp(-5 * (epoch + 1) / epochs) + (rng.normal(0, 0.01) if epoch < epochs - 1 else 0)
            )
            step = {"epoch": epoch, "step": 10 * epoch + 9}
            writer.writerow({**step, "train/loss": 2 - grown})
            writer.writerow({**step, **{f"val/{name}": figures[name] * grown for name in main}})


def write_run(folder: Path, name: str, variant: Variant, seed: int, options: Mapping[str, Any]) -> None:
    """Writes the folder of a finished run."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"seed_everything": seed, **variant.settings}))
    figures = write_evaluation(folder, "val", variant, seed, options)
    if options["test"]:
        write_evaluation(folder, "test", variant, seed, options)
    write_curves(folder / "metrics.csv", figures, options["epochs"], seed)
    measured = {f"val/{key}": value for key, value in figures.items()}
    write_json(
        folder / "summary.json",
        {
            "status": "finished",
            "metrics": measured,
            "best": {
                "epoch": options["epochs"] - 2,
                "metrics": measured,
                "checkpoint": "checkpoints/best.ckpt",
            },
            "seed": seed,
            "parameters": 1_000_000 * len(variant.tasks) + 200_000,
            "precision": "32-true",
            "devices": {"kind": "cpu", "name": "x86_64", "count": 1},
            "versions": {"python": "3.11.7", "torch": "2.15.0", "lightning": "2.6.6"},
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "dirty": False,
            "seconds": 60.0 * len(variant.tasks) + seed,
            "images_per_second": 20.0 / len(variant.tasks),
            "peak_memory": 2**30 * len(variant.tasks),
        },
    )


def write_study(
    path: Path, variants: Mapping[str, Variant], seeds: Sequence[int] = range(5), **declared: Any
) -> Path:
    """Writes a study folder.

    Args:
        path: Where.
        variants: Its variants.
        seeds: Its seeds.
        declared: What the study declares besides, and `images`, `groups`, `epochs` and `test` (whether there
            are evaluations on test) of its runs.
    """
    options = {"images": 12, "groups": 0, "epochs": 8, "test": False}
    options |= {key: declared.pop(key) for key in tuple(declared) if key in options}
    options["epoch"] = declared.get("epoch", "last")
    study = StudyFolder(path)
    runs = []
    for name, variant in variants.items():
        for seed in seeds:
            run = {
                "variant": name,
                "seed": seed,
                "key": f"{len(runs):08x}",
                "folder": f"{len(runs):03d}/{seed}",
            }
            runs.append(run)
            status = variant.status.get(seed, "finished")
            reason = "error: loss is NaN at step 12\n" if status == "failed" else ""
            if status != "missing":
                study.write_record(run["key"], {"status": status, "reason": reason})
            if status == "finished":
                write_run(path / run["folder"], name, variant, seed, options)
    given = {
        "name": "heads",
        "description": "Which head finds regions best?",
        "command": "fusionseg study experiments/studies/heads.yaml --out studies",
        "metric": "val/score",
        "epoch": "last",
        "reference": next(iter(variants)),
        "baselines": {},
        "axes": {},
        "notes": [],
        "seeds": list(seeds),
        "budget": {},
        "precision": "32-true",
        "variants": [
            {"name": name, "settings": variant.settings, "point": variant.point}
            for name, variant in variants.items()
        ],
        "runs": runs,
    }
    study.declare(given | declared)
    return path


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Path]:
    """Writes a study folder: see `write_study`."""

    def write(variants: Mapping[str, Variant], seeds: Sequence[int] = range(5), **declared: Any) -> Path:
        return write_study(tmp_path / "study", variants, seeds, **declared)

    return write


@pytest.fixture(scope="session")
def variant() -> type[Variant]:
    """A variant of a study to write."""
    return Variant


@pytest.fixture(scope="session")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four heads and seven seeds, of which one run failed; one is better and one is worse."""
    variants = {
        "boundary": Variant((0.8, 0.8)),
        'center <b>&"x"': Variant((0.8, 0.86)),
        "deep_wide": Variant((0.805, 0.79), status={3: "failed"}),
        "affinity": Variant((0.72, 0.78)),
    }
    return write_study(tmp_path_factory.mktemp("heads") / "study", variants, range(7))


@pytest.fixture(scope="session")
def alpha_beta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study over two axes, with two adaptive balancers, of the best epochs, on images of four sequences."""
    variants = {
        f"ratio={ratio},scale={scale}": Variant(
            (0.7 + 0.1 * ratio, 0.84 - 0.1 * ratio**2 - 0.02 * scale),
            settings={"model.alpha": ratio * scale, "model.beta": (1 - ratio) * scale},
            point={"ratio": ratio, "scale": scale},
        )
        for ratio in (0.25, 0.5, 0.75)
        for scale in (0.5, 1.0)
    }
    variants |= {
        "PCGrad": Variant((0.7, 0.75), settings={"model.balancer": "PCGrad"}),
        "UW": Variant((0.74, 0.80), settings={"model.balancer": {"class_path": "fusionseg.balancing.UW"}}),
    }
    axes = {"ratio": [0.25, 0.5, 0.75], "scale": [0.5, 1.0]}
    path = tmp_path_factory.mktemp("alpha_beta") / "study"
    return write_study(
        path, variants, range(3), name="alpha_beta", axes=axes, epoch="best", groups=4, images=16
    )


@pytest.fixture(scope="session")
def joint_vs_single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Joint training against single-task baselines, with evaluations on test, of images of 12 sequences."""
    variants = {
        "joint": Variant((0.8, 0.81)),
        "semantic": Variant((0.8, 0.5), tasks=("semantic",)),
        "region": Variant((0.8, 0.79), tasks=("region",)),
    }
    baselines = {"semantic": "semantic", "region": "region"}
    path = tmp_path_factory.mktemp("joint") / "study"
    return write_study(
        path, variants, range(5), name="joint_vs_single", baselines=baselines, test=True, groups=12
    )


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study over one axis that has just begun: one seed of two variants, of three."""
    variants = {
        "beta=0.5": Variant((0.8, 0.8), point={"beta": 0.5}, status={1: "running"}),
        "beta=1": Variant((0.8, 0.7), point={"beta": 1}, status={1: "missing"}),
        "beta=2": Variant((0.8, 0.6), point={"beta": 2}, status={0: "missing", 1: "missing"}),
    }
    path = tmp_path_factory.mktemp("begun") / "study"
    return write_study(path, variants, range(2), name="begun", axes={"beta": [0.5, 1, 2]}, images=4)
