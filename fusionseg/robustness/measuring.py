"""Measures a model on corrupted validation images, exactly as `evaluate` measures it on clean ones."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fusionseg.config.errors import mendable
from fusionseg.corruptions import Corruption
from fusionseg.data.base import DataError, SegmentationDataset
from fusionseg.data.cache import content_key
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.engine.evaluation import evaluated, suite_of
from fusionseg.engine.passes import WHOLE, Passes
from fusionseg.files.atomic import Json, finite
from fusionseg.metrics.suite import total
from fusionseg.robustness.corrupted import Corrupted
from fusionseg.robustness.results import Figures, Results

SEED = 0
"""What corruptions depend on beside the names of images: the same for all runs, which see the same images."""


def measured(
    module: Any,
    data: SegmentationDataModule,
    corruptions: Sequence[Corruption],
    severities: Sequence[int],
    path: Path,
    precision: str,
    weights: Json,
    passes: Passes = WHOLE,
) -> Results:
    """Measures a model on clean and on corrupted validation images.

    The file is written after each measurement. What it has of the same weights, settings and data is not
    measured again; what it has of others is dropped.

    Args:
        module: A LightningModule with `predictions(batch, size)`.
        data: Its data.
        corruptions: The corruptions.
        severities: The severities, each in 1..5.
        path: The JSON file.
        precision: As Lightning's.
        weights: What identifies the model's weights and decoding.
        passes: How it sees images.

    Raises:
        UserError: If the file holds something else.
    """
    with mendable():
        data.setup("validate")
    clean = data.datasets["val"]
    results = _begun(path, module, data, {**weights, **passes.record, "precision": precision})
    wanted = [(c, s) for c in corruptions for s in severities if not results.has(c.name, s)]
    steps: list[tuple[Corruption, int] | None] = [*([] if results.clean else [None]), *wanted]
    began = time.monotonic()
    try:
        for done, step in enumerate(steps):
            data.datasets["val"] = clean if step is None else Corrupted(clean, *step, SEED)
            name = "clean" if step is None else f"{step[0].name} {step[1]}"
            title = f"{name} ({done + 1} of {len(steps)}{_left(began, done, len(steps))}):"
            figures = _figures(module, data, precision, passes, title)
            if step is None:
                results.clean = figures
            else:
                results.add(step[0].name, step[1], figures)
            results.write(path)
            print(f"{name}: score {figures['score']:.4f}", file=sys.stderr)
    finally:
        data.datasets["val"] = clean
    return results


def image_digest(data: SegmentationDataModule) -> str:
    """A digest of the names of the validation images and of the classes."""
    with mendable():
        data.setup("validate")
    return _digest([_names(data.datasets["val"]), data.classes.names, data.classes.things])


def _figures(
    module: Any, data: SegmentationDataModule, precision: str, passes: Passes, title: str
) -> Figures:
    """The figures of the validation images as they are in the data now."""
    suite = suite_of(module, data.classes)
    images = evaluated(module, data, "val", precision, suite, passes=passes, title=title)
    return suite.figures(total(image.sums for _, image in images))


def _left(began: float, done: int, count: int) -> str:
    """How long the rest takes if it takes as long as what is done; empty at the beginning."""
    if not done:
        return ""
    seconds = (time.monotonic() - began) / done * (count - done)
    return f", {seconds / 60:.0f} min left" if seconds >= 90 else f", {seconds:.0f} s left"


def _begun(path: Path, module: Any, data: SegmentationDataModule, given: Json) -> Results:
    """What the file has of the same meaning, or nothing yet."""
    dataset = data.datasets["val"]
    meaning = {
        **given,
        "seed": SEED,
        "fusionseg": version("fusionseg"),
        "model": _digest(dict(getattr(module, "hparams", {}))),
        "scale": data.scale,
        **({} if data.resize is None else {"resize": data.resize}),
        "data": _content(dataset),
    }
    new = Results(
        meaning=json.loads(json.dumps(finite(meaning))),
        images=image_digest(data),
        count=len(dataset),
        trained_on=data.augmentation.families,
    )
    if not path.is_file():
        return new
    old = Results.read(path)
    if old.meaning == new.meaning and old.images == new.images:
        return replace(old, trained_on=new.trained_on)
    changed = [key for key in new.meaning if old.meaning.get(key) != new.meaning[key]]
    print(f"{path} is of another {', '.join(changed) or 'list of images'}: measured anew", file=sys.stderr)
    return new


def _content(dataset: SegmentationDataset) -> str:
    """A digest of what the images depend on, or of their names where the dataset does not say."""
    try:
        return content_key(dataset)
    except DataError:
        return _digest(_names(dataset))


def _names(dataset: SegmentationDataset) -> list[str]:
    return [dataset.name(index) for index in range(len(dataset))]


def _digest(value: object) -> str:
    return blake2b(repr(value).encode(), digest_size=16).hexdigest()
