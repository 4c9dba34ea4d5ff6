"""Evaluates a model on a split and writes the results: JSON, CSV, NPZ, and pictures."""

import heapq
import math
import shutil
import sys
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from fusionseg.config.errors import mendable
from fusionseg.engine.evaluation import Scored, evaluated, suite_of
from fusionseg.engine.passes import WHOLE, Passes
from fusionseg.engine.predictions import EXTRAS, drawables
from fusionseg.files.atomic import Json, write_json
from fusionseg.files.images import write_png
from fusionseg.metrics import MetricSuite
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.image_records import ImageRecords
from fusionseg.runs.wandb_logger import log_tables, wandb_logger
from fusionseg.runs.wandb_pictures import log_confusion
from fusionseg.sample import Classes, Counted, Picture, Prediction, Truth
from fusionseg.visualize import caption, legend, panel, sample_row
from fusionseg.visualize.confusion import confusion_picture


class Measure(Protocol):
    """What measures more of images than the suite, such as official scores."""

    @property
    def extras(self) -> Collection[str]:
        """Those of `engine.predictions.EXTRAS` that it measures, where they are predicted."""

    def add(self, prediction: Prediction, truth: Truth) -> None:
        """Adds an image."""

    def figures(self) -> Json:
        """The figures of all images."""

    def notes(self) -> list[str]:
        """What these do not show, in lines."""


class Ranked(NamedTuple):
    """An image in a heap of the best or the worst: equal ranks are ordered by position, never by content.

    Among the worst, rank and position have the opposite sign, so that one order has both at its ends.
    """

    rank: float
    position: int
    photo: Picture
    image: Scored


def evaluate(
    module: Any,
    data: Any,
    split: str,
    folder: Path,
    precision: str,
    pictures: int = 4,
    checkpoint: str = "best",
    decoder: Json | None = None,
    further: Mapping[str, Measure] | None = None,
    passes: Passes = WHOLE,
) -> Json:
    """Measures a model on a split and writes `<split>.json`, `.csv`, `.npz` and pictures into a folder.

    The pictures are those of the best and worst images and, where classes are measured, the confusion matrix.

    Args:
        module: A LightningModule with `predictions(batch, size)`.
        data: A LightningDataModule that keeps the contract of a sample.
        split: `val` or `test`.
        folder: Where to write.
        precision: As Lightning's.
        pictures: How many of the best and of the worst images are drawn, each once; those of which nothing
            can be measured are neither.
        checkpoint: What the file is to say about where the weights come from.
        decoder: What it is to say about a tuned decoder.
        further: What measures more, by the key of its figures.
        passes: How the module sees images.

    Returns:
        What the JSON file holds: `metrics`, `per_class`, `notes` (what the score does not show), `things`
        (the names of the countable classes), `region` (what a region is in the data), where classes are
        measured their `confusion` (for each true class its pixels by predicted class), `split`, `checkpoint`,
        `images`, where it was tuned the `decoder`, where images were not seen once and as a whole `tile`,
        `overlap` and `tta`, and the further figures by their keys.
    """
    further = further or {}
    extras = {name for measure in further.values() for name in measure.extras}
    with mendable():
        suite = suite_of(module, data.classes)
    best: list[Ranked] = []
    worst: list[Ranked] = []
    with closing(ImageRecords(folder)) as records:
        images = evaluated(module, data, split, precision, suite, extras, passes)
        for position, (photo, image) in enumerate(images):
            for measure in further.values():
                measure.add(image.prediction, image.truth)
            image = image._replace(prediction=_labels(image.prediction))
            figures = suite.figures(image.sums)
            records.add(image.prediction.name, figures, image.sums, image.group)
            measured = not math.isnan(figures["score"])
            for heap, sign in ((best, 1), (worst, -1)) if measured else ():
                heapq.heappush(heap, Ranked(sign * figures["score"], -sign * position, photo, image))
                if len(heap) > pictures:
                    heapq.heappop(heap)
        of_all = _result(suite, records.total, data.classes)
        result = of_all | {"split": split, "checkpoint": checkpoint, "images": records.count}
        result |= {"decoder": decoder} if decoder else {}
        result |= passes.record
        result |= {name: measure.figures() for name, measure in further.items()}
        result["notes"] += [line for measure in further.values() for line in measure.notes()]
        records.write_csv(folder / f"{split}.csv")
        records.write_npz(folder / f"{split}.npz")
        write_json(folder / f"{split}.json", result)  # the last one, so that where it is the others are
    if "confusion" in result:
        counts = np.array(result["confusion"])
        picture = confusion_picture(
            counts, data.classes, f"Confusion matrix of {split}, {records.count} images"
        )
        write_png(folder / f"{split}_confusion.png", picture)
    among = len({abs(ranked.position) for ranked in (*best, *worst)})
    # of few images each is drawn once
    for name, heap, most in (("best", best, (among + 1) // 2), ("worst", worst, among // 2)):
        _draw(folder / f"{split}_{name}", heapq.nlargest(most, heap), module, data.classes)
    return result


def _labels(prediction: Prediction) -> Prediction:
    """A prediction that may be kept in memory: without the probabilities of all classes and the like."""
    maps = {name: values for name, values in prediction.maps.items() if name not in EXTRAS}
    return Prediction(prediction.name, maps)


def track(run: RunFolder, split: str, result: Json, classes: Classes) -> None:
    """Adds the figures to the W&B run that trained the model, if there is one."""
    logger = wandb_logger(run.path, run.wandb_id) if run.wandb_id else None
    if logger is None:
        return
    rows = list(result["per_class"].values())
    columns = {key: [row[key] for row in rows] for key in next(iter(rows), {})}
    epoch = run.read_summary()["best"].get("epoch", 0)
    log_tables([logger], split, classes, columns, epoch)
    counts = np.array(result["confusion"]) if "confusion" in result else None
    log_confusion([logger], split, counts, classes, epoch)
    logger.experiment.summary.update({f"{split}/{name}": value for name, value in result["metrics"].items()})
    logger.finalize("success")
    if logger.notice:
        print(logger.notice, file=sys.stderr)


def _result(suite: MetricSuite, added: Counted, classes: Classes) -> Json:
    """The figures of a set of images, and those of each class by its name."""
    columns = suite.per_class(added)
    rows = {name: {key: values[i] for key, values in columns.items()} for i, name in enumerate(classes.names)}
    result = {
        "metrics": suite.figures(added),
        "per_class": rows,
        "notes": suite.notes(classes, added),
        "things": [classes.names[i] for i in classes.things],
        "region": classes.region,
    }
    confusion = suite.confusion(added)
    return result if confusion is None else result | {"confusion": confusion.tolist()}


def _draw(folder: Path, images: Iterable[Ranked], module: object, classes: Classes) -> None:
    """Writes the pictures of some images in place of those of an earlier evaluation."""
    shutil.rmtree(folder, ignore_errors=True)
    for ranked in images:
        path = folder / f"{ranked.image.prediction.name}.png"
        write_png(path, _picture(ranked, module, classes))


def _picture(ranked: Ranked, module: object, classes: Classes) -> Picture:
    prediction = ranked.image.prediction
    truth = ranked.image.truth
    row = sample_row(ranked.photo, truth, prediction, classes, drawables(module))
    shown = [m for m in (truth.semantic, prediction.get("semantic")) if m is not None]
    line = f"{caption(prediction, truth, classes)}  score {abs(ranked.rank):.3f}"
    return panel([row], [line], legend(shown, classes) if len(row) > 1 else None)
