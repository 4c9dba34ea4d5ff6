"""Runs the network once over the validation images and keeps what heads need to decode again and again."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities import move_data_to_device

from fusionseg.config.errors import UserError
from fusionseg.engine.evaluation import answered
from fusionseg.engine.predictions import COMPACT, frame_of, fused, padded
from fusionseg.metrics import MetricSuite
from fusionseg.metrics.suite import total
from fusionseg.module import FusionModule
from fusionseg.sample import Counted, Sample
from fusionseg.tuning.measuring import DECODING, Decoding, KeptBatch
from fusionseg.tuning.plan import FUSED, FUSIONS, Plan


@dataclass(frozen=True)
class KeptOutputs:
    """The outputs of a split in a folder.

    Attributes:
        files: A file for each batch, in order.
        fixed: The added sums of the metrics that no parameter changes.
        images: The number of images.
        size: Bytes of all files.
    """

    files: Sequence[Path]
    fixed: Counted
    images: int
    size: int


def kept_outputs(model: FusionModule, data: Any, precision: str, plan: Plan, folder: Path) -> KeptOutputs:
    """Runs the network once over the validation images and writes what `measured` reads.

    Outputs keep the type in which they leave the network (bf16 under its autocast, else float32), so that
    trials measure what `evaluate` does, to the last digit where both decode on the CPU.

    Args:
        model: The model.
        data: The data.
        precision: As Lightning's.
        plan: What is tuned.
        folder: An empty folder that nobody else writes to.

    Raises:
        UserError: If they do not fit on the disk, or a head cannot be given to other processes.
    """
    fixed_suite = MetricSuite(plan.fixed)
    joined = set(FUSED) & set(plan.decoded_once) if plan.answers & set(FUSIONS) else set()
    files: list[Path] = []
    fixed: Counted = {}
    images = 0
    answer = partial(_answers, model, plan)
    for batch, _, truths, (outputs, labels, frame) in answered(
        model, data, "val", precision, answer, "outputs of"
    ):
        names = batch["name"]
        once = fused(labels, names, model.classes, model.areas)
        fixed = total([fixed, *map(fixed_suite.sums, once, truths)])
        compact = {task: labels[task].to(COMPACT[task]).cpu() for task in joined}
        files.append(folder / f"{len(files):06d}.pickle")
        _write(files[-1], KeptBatch(outputs, compact, frame, names, truths))
        images += len(names)
    model.cpu()
    heads = {task: model.heads[task] for task in plan.kept}
    _write(folder / DECODING, Decoding(heads, MetricSuite(plan.tried), model.classes, model.areas))
    return KeptOutputs(files, fixed, images, sum(file.stat().st_size for file in files))


def _answers(model: FusionModule, plan: Plan, batch: Sample, size: tuple[int, int]) -> Any:
    """The outputs of the kept heads on the host, the labels of others, and the frame of a batch."""
    outputs = model(padded(batch)["image"])[-1]
    frame = frame_of(batch, size)
    labels = {task: model.heads[task].labels(outputs[task], frame) for task in plan.decoded_once}
    kept = {task: model.heads[task].kept(outputs[task]) for task in plan.kept}
    return move_data_to_device(kept, torch.device("cpu")), labels, frame


def _write(path: Path, value: object) -> None:
    try:
        content = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UserError(f"a head or its output cannot be given to other processes: {error}") from error
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UserError(
            f"{path.parent}: the outputs of the heads could not be kept ({error.strerror}): name a folder "
            "with more room in TMPDIR, or keep none for temperatures (--temperature false)"
        ) from error
