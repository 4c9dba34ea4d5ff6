"""Our metrics against those of torchmetrics and scikit-image on the same label maps, and against a validation's time.

python -m benchmarks.metrics [--scenes 8] [--rounds 9]
"""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import cv2
import lightning.pytorch as pl
import numpy as np
import torch
from skimage.metrics import adapted_rand_error, variation_of_information
from torchmetrics import Metric
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassJaccardIndex,
)
from torchmetrics.detection import PanopticQuality

from benchmarks.timing import Target, quartiles, ratios, show
from fusionseg.config.lightning_messages import quiet
from fusionseg.engine.precision import fast_precision
from fusionseg.engine.predictions import padded
from fusionseg.metrics.panoptic import panoptic_figures, panoptic_sums, panoptic_truth
from fusionseg.metrics.regions import region_figures, region_sums
from fusionseg.metrics.semantic import semantic_figures, semantic_sums
from fusionseg.metrics.suite import MetricSuite
from fusionseg.module import FusionModule
from fusionseg.networks import HardSharing
from fusionseg.sample import OFFSET, VOID, Classes, Counted, IntMap, Prediction, Sample, Truth

SIZE = (360, 480)
CLASSES = Classes(tuple("abcdefghijk"), ((0, 0, 0),) * 11, things=(2, 6, 8, 9, 10))


class Scene(NamedTuple):
    """One image's truth and an answer to it whose outlines are off by some pixels."""

    truth: Truth
    semantic: IntMap
    region: IntMap
    panoptic: IntMap


def scene(seed: int) -> Scene:
    """A scene of 60 Voronoi cells of one class each, some void; a tenth of the answer's cells has the wrong class."""
    random = np.random.default_rng(seed)
    points = random.random((60, 2)) * SIZE
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    region = ((rows[..., None] - points[:, 0]) ** 2 + (columns[..., None] - points[:, 1]) ** 2).argmin(-1) + 1
    classes = random.integers(0, len(CLASSES), 61)
    guesses = np.where(random.random(61) < 0.1, random.integers(0, len(CLASSES), 61), classes)
    classes[:4] = VOID
    moves = [cv2.GaussianBlur(random.normal(0, 60, SIZE), (0, 0), 9) for _ in "yx"]
    y, x = (
        np.clip(at + move, 0, at.max()).astype(int) for at, move in zip((rows, columns), moves, strict=True)
    )
    warped = region[y, x]
    truth = Truth(
        classes[region].astype(np.uint8), np.where(classes[region] == VOID, 0, region).astype(np.uint16)
    )
    answer = Truth(guesses[warped].astype(np.uint8), warped.astype(np.uint16))
    return Scene(truth, answer.semantic, answer.region, panoptic_truth(answer, CLASSES.things))


def torchmetrics_semantic(
    metrics: Sequence[Metric], pairs: list[tuple[torch.Tensor, torch.Tensor]]
) -> list[torch.Tensor]:
    for metric in metrics:
        metric.reset()
        for pair in pairs:
            metric.update(*pair)
    return [metric.compute() for metric in metrics]


def our_semantic(scenes: list[Scene]) -> dict[str, float]:
    sums = [semantic_sums(one.semantic, one.truth.semantic, len(CLASSES)) for one in scenes]
    return semantic_figures(np.sum(sums, 0))


def our_panoptic(scenes: list[Scene]) -> dict[str, float]:
    return panoptic_figures(
        np.sum([panoptic_sums(one.panoptic, one.truth, len(CLASSES), CLASSES.things) for one in scenes], 0),
        CLASSES.things,
    )


def scikit_regions(scenes: list[Scene]) -> list[float]:
    """Mean variation of information and mean adapted Rand error."""
    bits = [sum(variation_of_information(s.truth.region, s.region, ignore_labels=(0,))) for s in scenes]  # type: ignore[no-untyped-call]
    errors = [adapted_rand_error(s.truth.region, s.region, ignore_labels=(0,))[0] for s in scenes]  # type: ignore[no-untyped-call]
    return [float(np.mean(bits)), float(np.mean(errors))]


def our_regions(scenes: list[Scene]) -> dict[str, float]:
    return region_figures(np.sum([region_sums(one.region, one.truth.region) for one in scenes], 0))


class Told(HardSharing):
    """The usual network at its usual cost, which then gives the answers that it was told.

    An untrained network's own regions would be nothing like those that there are to measure.
    """

    told: dict[str, torch.Tensor]

    def forward(self, image: torch.Tensor) -> list[dict[str, Any]]:
        """What it was told, as if it were the network's own."""
        own = super().forward(image)[-1]
        return [{task: self.told[task].to(output.dtype) for task, output in own.items()}]


class Watched(MetricSuite):
    """Metrics that keep the time."""

    seconds = 0.0

    def sums(self, prediction: Prediction, truth: Truth) -> Counted:
        """The sums of one image."""
        start = perf_counter()
        sums = super().sums(prediction, truth)
        self.seconds += perf_counter() - start
        return sums


def watched(module: FusionModule) -> FusionModule:
    """The module, whose metrics keep the time."""
    module.suite = Watched(list(module.suite))
    module.evaluation.suite = module.suite
    return module


class Watch:
    """A loader of one scene a batch, and the time of the measures as a part of what passes until it is asked again."""

    def __init__(self, scenes: list[Scene], module: FusionModule) -> None:
        self.scenes, self.module, self.dataset = scenes, module, scenes
        self.shares: list[float] = []

    def __len__(self) -> int:
        return len(self.scenes) + 1

    def __iter__(self) -> Iterator[Sample]:
        module: Any = self.module
        batch: Sample = {}
        for one in self.scenes:
            answer = padded(sample(one.semantic, one.region))
            module.network.told = {
                task: head.ideal(head.target(answer)) for task, head in module.network.heads.items()
            }
            batch = sample(one.truth.semantic, one.truth.region)
            module.suite.seconds, start = 0.0, perf_counter()
            yield batch
            self.shares.append(module.suite.seconds / (perf_counter() - start))
        # asked for when the last one is done
        yield batch


def sample(semantic: IntMap, region: IntMap) -> Sample:
    """A batch of one image with these labels."""
    maps = {"semantic": semantic, "region": region}
    labels = {name: torch.from_numpy(labels.astype(np.int64))[None] for name, labels in maps.items()}
    return {"image": torch.randint(0, 256, (1, 3, *SIZE), dtype=torch.uint8), **labels, "name": ["scene"]}


def agree(name: str, found: list[float], expected: list[float]) -> None:
    """Refuse to time two sides that do not answer the same."""
    if not np.allclose(found, expected, rtol=1e-4):
        raise RuntimeError(
            f"{name}: ours gives {found}, the reference {expected}; a ratio of times would mean nothing"
        )


def semantic(scenes: list[Scene], rounds: int) -> None:
    metrics = [
        metric(num_classes=len(CLASSES), ignore_index=VOID)
        for metric in (
            MulticlassJaccardIndex,
            MulticlassAccuracy,
            MulticlassF1Score,
            MulticlassConfusionMatrix,
        )
    ]
    # The conversion to tensors is not measured, although torchmetrics would need it.
    pairs = [(torch.from_numpy(s.semantic).long(), torch.from_numpy(s.truth.semantic).long()) for s in scenes]
    theirs, ours = partial(torchmetrics_semantic, metrics, pairs), partial(our_semantic, scenes)
    figures = ours()
    agree(
        "semantic",
        [figures[name] for name in ("miou", "recall", "f1")],
        [float(value) for value in theirs()[:3]],
    )
    measured = ratios({"fusionseg": ours, "torchmetrics, 4 metrics": theirs}, "fusionseg", rounds)
    show("semantic, 360x480, 11 classes", measured, {"torchmetrics, 4 metrics": Target(50, at_least=True)})


def panoptic(scenes: list[Scene], rounds: int) -> None:
    stuff = set(range(len(CLASSES))) - set(CLASSES.things)
    metric = PanopticQuality(set(CLASSES.things), stuff, return_sq_and_rq=True)
    maps = [(s.panoptic, panoptic_truth(s.truth, CLASSES.things)) for s in scenes]
    pairs = [
        tuple(torch.from_numpy(np.stack([ids // OFFSET, ids % OFFSET], -1))[None] for ids in pair)
        for pair in maps
    ]

    def theirs() -> torch.Tensor:
        metric.reset()
        for pair in pairs:
            metric.update(*pair)
        return metric.compute()

    ours = partial(our_panoptic, scenes)
    figures = ours()
    agree("panoptic", [figures[name] for name in ("pq", "sq", "rq")], theirs().tolist())
    measured = ratios({"fusionseg": ours, "torchmetrics": theirs}, "fusionseg", rounds)
    show("panoptic quality, 360x480, 60 segments", measured, {"torchmetrics": Target(100, at_least=True)})


def regions(scenes: list[Scene], rounds: int) -> None:
    theirs, ours = partial(scikit_regions, scenes), partial(our_regions, scenes)
    figures = ours()
    agree("regions", [figures["voi"], figures["rand_error"]], theirs())
    measured = ratios(
        {"fusionseg, with covering": ours, "scikit-image": theirs}, "fusionseg, with covering", rounds
    )
    show("regions, 360x480, 60 regions", measured, {"scikit-image": Target(5, at_least=True)})


def validation(scenes: list[Scene], rounds: int) -> None:
    """The measures' part of a validation by the ResNet-18 U-Net with both heads."""
    module = watched(FusionModule(CLASSES, network=Told))
    watch = Watch(scenes * rounds, module)
    options: dict[str, Any] = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    options |= {"accelerator": "cpu", "precision": fast_precision("cpu")}
    with quiet():
        pl.Trainer(**options).validate(module, watch, verbose=False)
    measured = {"measures": quartiles(watch.shares[1:])}
    title = f"part of a validation's time, 360x480, {torch.get_num_threads()} threads, {options['precision']}"
    show(title, measured, {"measures": Target(0.05)})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    scenes, threads = [scene(seed) for seed in range(args.scenes)], torch.get_num_threads()
    validation(scenes, args.rounds)
    torch.set_num_threads(1)
    semantic(scenes, args.rounds)
    regions(scenes, args.rounds)
    panoptic(scenes[:4], args.rounds)
    torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
