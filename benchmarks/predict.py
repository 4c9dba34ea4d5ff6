"""Times `fusionseg predict` against its network alone and all the rest alone, in images per second.

The rest is reading, decoding and writing. The bound is relative to the slower one of both: they are to
overlap, each on a core of its own, so that torch has one thread unless --threads gives it more. That does not
show on a machine whose cores are busy; a second table has how many threads could run at once.

python -m benchmarks.predict [--run DIR] [--images 24] [--size 360 480] [--rounds 5] [--threads 1]
"""

import random
import shutil
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.runnable import running
from benchmarks.timing import Quartiles, Target, command_line, quartiles, seconds, show
from fusionseg.commands import fit
from fusionseg.commands.predict import FURTHER
from fusionseg.data import SyntheticScenes
from fusionseg.engine.predictions import padded
from fusionseg.files.photos import read_image
from fusionseg.inference.file_answers import FileAnswers, Named
from fusionseg.inference.input_images import InputImages
from fusionseg.inference.prediction_files import predict
from fusionseg.inference.prediction_record import PredictionRecord
from fusionseg.inference.predictor import Predictor

TARGETS = {"predict": Target(0.9, at_least=True)}


class Prediction:
    """The parts of a prediction of images in files, each as a function that does it once for all of them.

    Args:
        run: The run folder.
        photos: The folder of images.
        out: The folder to write to, which is emptied each time.
        threads: The threads of torch and OpenCV.
    """

    def __init__(self, run: Path, photos: Path, out: Path, threads: int) -> None:
        self.predictor = Predictor(run, threads=threads)
        self.settings = {**self.predictor.settings, **dict.fromkeys(FURTHER, False)}
        self.images = InputImages([str(photos)], out).by_name
        self.out = out
        named = [Named(name, *image) for name, image in self.images.items()]
        self.named = named
        seen = [torch.from_numpy(read_image(one.path)).permute(2, 0, 1)[None] for one in named]
        self.batches = [padded({"image": image, "name": ["a"]})["image"] for image in seen]
        self.outputs = [self._outputs(batch) for batch in self.batches]

    def whole(self) -> None:
        """All, as the command does it."""
        shutil.rmtree(self.out, ignore_errors=True)
        predict(self.predictor, self.images, PredictionRecord(self.out, self.settings))

    def in_turn(self) -> None:
        """All, one image after the other."""
        shutil.rmtree(self.out, ignore_errors=True)
        answers = FileAnswers(self.predictor, self.out, self.settings)
        record = PredictionRecord(self.out, self.settings)
        for image in self.named:
            entry = answers(image).entry
            assert entry is not None
            record.add(image.name, image.files, {"file_name": image.file_name, **entry})
        record.finish(self.predictor.classes)

    def network(self) -> None:
        """The network alone."""
        for batch in self.batches:
            self._outputs(batch)

    def rest(self) -> None:
        """All but the network, one image after the other."""
        with self._answering(iter(self.outputs)):
            self.in_turn()

    @torch.no_grad()
    def _outputs(self, batch: torch.Tensor) -> Any:
        with self.predictor.fabric.autocast():
            return self.predictor.model(batch.to(self.predictor.fabric.device))

    @contextmanager
    def _answering(self, outputs: Iterator[Any]) -> Iterator[None]:
        """The model returns outputs that are known."""
        model = self.predictor.model
        model.forward = lambda _: next(outputs)
        try:
            yield
        finally:
            del model.forward


def rates(variants: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, Quartiles]:
    """The images per second of variants, relative to the slower one of `network` and `rest` in a round."""
    order = list(variants)
    generator = random.Random(0)
    for call in variants.values():
        call()
    samples: dict[str, list[float]] = {name: [] for name in order}
    for _ in range(rounds):
        generator.shuffle(order)
        times = {name: seconds(variants[name]) for name in order}
        slower = max(times["network"], times["rest"])
        for name, sample in samples.items():
            sample.append(slower / times[name])
    return {name: quartiles(sample) for name, sample in samples.items()}


def cores(variants: Mapping[str, Callable[[], None]], images: int) -> Table:
    """A table of how many threads can run at once, and what an image would take if each had a core."""
    table = Table("variant", title="whatever else the machine does")
    for column in ("runnable threads", "processor ms / image", "ms / image with a core each"):
        table.add_column(column, justify="right")
    for name, call in variants.items():
        threads, spent = running(call)
        each = 1000 * spent / images
        table.add_row(name, f"{threads:.2f}", f"{each:.0f}", f"{each / threads:.0f}")
    return table


def measure(args: Namespace, folder: Path) -> None:
    """Measures a run, or one of an epoch on synthetic scenes that is trained first, and prints tables."""
    run = args.run
    if run is None:
        run = folder / "run"
        fit.main(["--trainer.max_epochs", "1", "--wandb", "disabled", "--out", str(run)])
    scenes = SyntheticScenes("test", args.images, tuple(args.size))
    photos = folder / "photos"
    photos.mkdir()
    for i in range(args.images):
        Image.fromarray(scenes.read(i).image).save(photos / f"{i:04d}.png")
    parts = Prediction(run, photos, folder / "out", args.threads)
    alone = {"network": parts.network, "rest": parts.rest}
    variants = {"predict": parts.whole, "one after the other": parts.in_turn, **alone}
    images = f"{args.images} images of {args.size[1]} x {args.size[0]}, {args.threads} threads of torch"
    title = f"{images}: images/s relative to the slower one of network and rest"
    show(title, rates(variants, args.rounds), TARGETS)
    Console().print(cores(variants, args.images))


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--size", type=int, nargs=2, default=(360, 480))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        measure(args, Path(folder))


if __name__ == "__main__":
    main()
