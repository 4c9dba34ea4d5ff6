"""Compares our metrics with those of torchmetrics and scikit-image, and with the time of a validation.

python -m benchmarks.metrics [--scenes 8] [--rounds 9] [--sides 480 3456]
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import perf_counter
from typing import Any

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

from benchmarks.scenes import CLASSES, Scene, sample, scene
from benchmarks.timing import Target, command_line, quartiles, ratios, show
from benchmarks.training import RESNET
from fusionseg.config.lightning_messages import quiet
from fusionseg.engine.precision import fast_precision
from fusionseg.engine.predictions import padded
from fusionseg.metrics.boundary import by_dilation, by_distance, near
from fusionseg.metrics.confusion import semantic_sums
from fusionseg.metrics.edges import boundaries
from fusionseg.metrics.panoptic import panoptic_figures, panoptic_sums
from fusionseg.metrics.regions import region_figures, region_sums
from fusionseg.metrics.semantic import semantic_figures
from fusionseg.metrics.suite import MetricSuite
from fusionseg.module import FusionModule
from fusionseg.networks import HardSharing
from fusionseg.sample import OFFSET, VOID, Counted, Prediction, Sample, Truth


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
    """Mean variation of information (bits) and mean adapted Rand error, by scikit-image."""
    bits = [sum(variation_of_information(s.truth.region, s.region, ignore_labels=(0,))) for s in scenes]  # type: ignore[no-untyped-call]
    errors = [adapted_rand_error(s.truth.region, s.region, ignore_labels=(0,))[0] for s in scenes]  # type: ignore[no-untyped-call]
    return [float(np.mean(bits)), float(np.mean(errors))]


def our_regions(scenes: list[Scene]) -> dict[str, float]:
    return region_figures(np.sum([region_sums(one.region, one.truth.region) for one in scenes], 0))


class Prescribed(HardSharing):
    """The default network, at its usual cost, which then returns prescribed outputs.

    The regions of an untrained network would be unlike those that are measured in practice.
    """

    outputs: dict[str, torch.Tensor]

    def forward(self, image: torch.Tensor) -> list[dict[str, Any]]:
        """The prescribed outputs, in the dtypes of the network's own."""
        own = super().forward(image)[-1]
        return [{task: self.outputs[task].to(output.dtype) for task, output in own.items()}]


class Watched(MetricSuite):
    """Metrics that count the seconds that they take."""

    seconds = 0.0

    def sums(self, prediction: Prediction, truth: Truth) -> Counted:
        """The additive sums of one image."""
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
    """A loader with one scene per batch, which records the fraction of a step that the measures take."""

    def __init__(self, scenes: list[Scene], module: FusionModule) -> None:
        self.scenes = scenes
        self.dataset = scenes
        self.module = module
        self.shares: list[float] = []

    def __len__(self) -> int:
        return len(self.scenes) + 1

    def __iter__(self) -> Iterator[Sample]:
        module: Any = self.module
        batch: Sample = {}
        for one in self.scenes:
            answer = padded(sample(one.semantic, one.region))
            heads = module.network.heads.items()
            module.network.outputs = {task: head.ideal(head.target(answer)) for task, head in heads}
            batch = sample(one.truth.semantic, one.truth.region)
            module.suite.seconds = 0.0
            start = perf_counter()
            yield batch
            self.shares.append(module.suite.seconds / (perf_counter() - start))
        # one more, whose request ends the last step
        yield batch


def agree(name: str, found: list[float], expected: list[float]) -> None:
    """Checks that two implementations give the same values before they are timed.

    Raises:
        RuntimeError: If they do not.
    """
    if not np.allclose(found, expected, rtol=1e-4):
        raise RuntimeError(
            f"{name}: ours gives {found}, the reference {expected}; a ratio of times would mean nothing"
        )


def semantic(scenes: list[Scene], rounds: int) -> None:
    options: dict[str, Any] = {"num_classes": len(CLASSES), "ignore_index": VOID}
    metrics = [
        MulticlassJaccardIndex(**options),
        MulticlassAccuracy(**options),
        MulticlassF1Score(**options),
        MulticlassConfusionMatrix(**options),
    ]
    # the conversion to tensors is not measured, although torchmetrics needs it
    pairs = [(torch.from_numpy(s.semantic).long(), torch.from_numpy(s.truth.semantic).long()) for s in scenes]
    theirs = partial(torchmetrics_semantic, metrics, pairs)
    ours = partial(our_semantic, scenes)
    figures = ours()
    found = [figures[name] for name in ("miou", "recall", "f1")]
    agree("semantic", found, [float(value) for value in theirs()[:3]])
    measured = ratios({"fusionseg": ours, "torchmetrics, 4 metrics": theirs}, "fusionseg", rounds)
    show("semantic, 360x480, 11 classes", measured, {"torchmetrics, 4 metrics": Target(50, at_least=True)})


def panoptic(scenes: list[Scene], rounds: int) -> None:
    stuff = set(range(len(CLASSES))) - set(CLASSES.things)
    metric = PanopticQuality(set(CLASSES.things), stuff, return_sq_and_rq=True)
    maps = [(s.panoptic, s.truth.panoptic(CLASSES.things)) for s in scenes]
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
    theirs = partial(scikit_regions, scenes)
    ours = partial(our_regions, scenes)
    figures = ours()
    agree("regions", [figures["voi"], figures["rand_error"]], theirs())
    measured = ratios(
        {"fusionseg, with covering": ours, "scikit-image": theirs}, "fusionseg, with covering", rounds
    )
    show("regions, 360x480, 60 regions", measured, {"scikit-image": Target(5, at_least=True)})


def boundary(side: int, rounds: int) -> None:
    """Prints the time of both ways to find boundary pixels within the tolerance, over that of the chosen."""
    cells = np.random.default_rng(0).integers(0, 9, (12, 12))
    regions = np.kron(cells, np.ones((side // 12, side // 12), np.int64))
    edges = boundaries(regions, np.ones_like(regions, bool))
    shifted = np.roll(edges, 3, 0)
    radius = 0.0075 * np.hypot(*regions.shape)
    ways: dict[str, Callable[[], object]] = {
        "chosen": partial(near, edges, shifted, radius),
        "dilation": partial(by_dilation, edges, radius),
        "distance transform": partial(by_distance, edges, radius),
    }
    targets = dict.fromkeys(("dilation", "distance transform"), Target(0.75, at_least=True))
    title = f"boundaries, {len(regions)}x{len(regions)}, radius {radius:.0f}"
    show(title, ratios(ways, "chosen", rounds), targets)


def validation(scenes: list[Scene], rounds: int) -> None:
    """Prints the fraction of a validation's time that the measures take, with the ResNet-18 U-Net."""
    module = watched(FusionModule(CLASSES, network=Prescribed, backbone=RESNET))
    watch = Watch(scenes * rounds, module)
    options: dict[str, Any] = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    options |= {"accelerator": "cpu", "precision": fast_precision("cpu")}
    with quiet():
        pl.Trainer(**options).validate(module, watch, verbose=False)
    measured = {"measures": quartiles(watch.shares[1:])}
    title = f"part of a validation's time, 360x480, {torch.get_num_threads()} threads, {options['precision']}"
    show(title, measured, {"measures": Target(0.05)})


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sides", type=int, nargs="+", default=[480, 3456], help="of images with boundaries")
    args = parser.parse_args()
    scenes = [scene(seed) for seed in range(args.scenes)]
    threads = torch.get_num_threads()
    validation(scenes, args.rounds)
    torch.set_num_threads(1)
    semantic(scenes, args.rounds)
    regions(scenes, args.rounds)
    panoptic(scenes[:4], args.rounds)
    for side in args.sides:
        boundary(side, args.rounds)
    torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
