"""Times answers of a model: latency, throughput, peak memory, and where the time goes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from fusionseg.bench.memory import peak, reset_peak
from fusionseg.bench.stages import STAGES, StageClock, synchronize, watched
from fusionseg.files.photos import read_image
from fusionseg.files.readable_path import ReadablePath
from fusionseg.inference.answer_files import write_maps
from fusionseg.inference.inputs import NamedPhoto
from fusionseg.inference.predictor import Predictor

EXTRAS = ("confidence",)
"""What `predict` asks for beside labels."""

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Measurement:
    """What answers cost in a precision and a batch size.

    Attributes:
        precision: As Lightning's.
        batch_size: Images that the network sees at once.
        latency: Seconds from a batch of images in memory to their answers, by `p50`, `p90`, `p99` and `mean`.
        images_per_second: Images over the seconds of all repeats of that.
        peak_memory: The most bytes during these repeats: of the GPU, else resident of this process.
        peak_of_process: Whether the peak may be of something that this process did before.
        stages: Seconds per image of `STAGES`, from file to files, in a second series that waits for the
            device between stages.
        total: Seconds per image of that series, which is the sum of the stages.
    """

    precision: str
    batch_size: int
    latency: dict[str, float]
    images_per_second: float
    peak_memory: int
    peak_of_process: bool
    stages: dict[str, float]
    total: float


def measured(
    predictor: Predictor,
    precision: str,
    paths: Sequence[ReadablePath],
    repeats: int,
    warmup: int,
    advance: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Measurement:
    """Times answers without soft maps, as `fusionseg predict` gives them.

    Args:
        predictor: The model on its device.
        precision: What the predictor computes in.
        paths: The files of a batch, images of one size.
        repeats: How often each series is repeated.
        warmup: How many answers come before, which are not measured.
        advance: Called after each answer.
        clock: Gives seconds.
    """
    batch = _read(predictor, paths)
    device = predictor.fabric.device
    for _ in range(warmup):
        predictor.answers(batch, EXTRAS)
        advance()
    own = reset_peak(device)
    samples = []
    for _ in range(repeats):
        samples.append(_seconds(predictor, batch, device, clock))
        advance()
    memory = peak(device)
    stages, total = _stages(predictor, paths, repeats, advance, clock)
    values = np.percentile(samples, PERCENTILES)
    latency = {f"p{p}": float(value) for p, value in zip(PERCENTILES, values, strict=True)}
    return Measurement(
        precision,
        len(paths),
        {**latency, "mean": float(np.mean(samples))},
        len(paths) * repeats / sum(samples),
        memory,
        not own,
        stages,
        total,
    )


def _read(predictor: Predictor, paths: Sequence[ReadablePath]) -> list[NamedPhoto]:
    """Images from their files, with names of their own, as some occur again."""
    value_range = predictor.settings["value_range"]
    return [
        NamedPhoto(f"{number}-{path.stem}", read_image(path, value_range, predictor.channels))
        for number, path in enumerate(paths)
    ]


def _seconds(
    predictor: Predictor, batch: Sequence[NamedPhoto], device: torch.device, clock: Callable[[], float]
) -> float:
    synchronize(device)
    start = clock()
    predictor.answers(batch, EXTRAS)
    synchronize(device)
    return clock() - start


def _stages(
    predictor: Predictor,
    paths: Sequence[ReadablePath],
    repeats: int,
    advance: Callable[[], object],
    clock: Callable[[], float],
) -> tuple[dict[str, float], float]:
    """Seconds per image of each stage, and of all, from the files to the files that `predict` writes."""
    watch = StageClock(predictor.fabric.device, clock)
    total = 0.0
    with TemporaryDirectory(prefix="fusionseg-bench-") as folder:
        for _ in range(repeats):
            start = watch.now()
            with watched(predictor.model, watch):
                with watch.stage("read"):
                    batch = _read(predictor, paths)
                answers = predictor.answers(batch, EXTRAS)
                with watch.stage("write"):
                    for answer in answers:
                        write_maps(answer, Path(folder))
            total += watch.now() - start
            advance()
    images = repeats * len(paths)
    known = {stage: watch.seconds[stage] / images for stage in STAGES if stage != "rest"}
    return {**known, "rest": total / images - sum(known.values())}, total / images
