"""Measures what the model of a run costs: size, operations, latency, images per second, memory, stages."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fusionseg.cli.arguments import values, with_switches
from fusionseg.cli.help import options_manual
from fusionseg.cli.parser import Parser
from fusionseg.config.errors import UsageError, mendable

if TYPE_CHECKING:
    from fusionseg.bench.images import BenchImages
    from fusionseg.inference.predictor import Predictor

ABOUT = """Prints parameters, multiply-accumulate operations (MACs), percentiles of latency, images per second
and peak memory by batch size and precision, and where the time goes from an image's file to the files of its
answer: reading, resizing, network, decoding, writing and the rest. Images are validation images of the run
where its data are here, else synthetic scenes. Nothing else should run on the machine meanwhile."""


@dataclass
class Options:
    """The arguments of the command.

    Args:
        run: Run folder, checkpoint, or folder of `fusionseg share`.
        batch_sizes: How many images the network sees at once, several with commas between.
        precisions: As Lightning's, several with commas between; what is fast on this device and 32-true
            where left out.
        size: Height and width that images are brought to, with a comma between; their own where left out.
        images: Images, folders or patterns to take in place of the run's.
        repeats: How often each measurement is repeated.
        warmup: How many answers come before, which are not measured.
        device: As torch's, such as cuda:1; the fastest where left out.
        threads: Threads of torch and OpenCV; theirs where left out.
        out: JSON file to write to.
        untuned: As in fusionseg.evaluate.
        trust: As in fusionseg.evaluate.
    """

    run: Path
    batch_sizes: str = "1,4"
    precisions: str | None = None
    size: str | None = None
    images: list[str] | None = None
    repeats: int = 30
    warmup: int = 5
    device: str | None = None
    threads: int | None = None
    out: Path | None = None
    untuned: bool = False
    trust: str | None = None


def options(args: Sequence[str]) -> Options:
    """The arguments of the command.

    Raises:
        UsageError: If they cannot be used.
    """
    parser = Parser(allow_abbrev=False)
    usage = "fusionseg bench --run DIR [--batch_sizes 1,4] [--precisions 32-true] [--size H,W] [--out F.json]"
    parser.manual = lambda: options_manual(usage, ABOUT, Options)
    parser.add_class_arguments(Options, skip={"images"}, instantiate=False)
    parser.add_argument("--images", nargs="+", type=str)
    given = Options(**parser.parse_args(with_switches(args, ("untuned",))).as_dict())
    for name, least in (("repeats", 1), ("warmup", 0)):
        if (value := getattr(given, name)) < least:
            raise UsageError(f"expected {least} or more, found {value}", name)
    integers(given.batch_sizes, "batch_sizes")
    if given.size is not None:
        integers(given.size, "size", 2)
    if given.run.suffix in (".onnx", ".pt2"):
        raise UsageError(
            f"expected a run, a checkpoint or a shared folder, found the exported file {given.run}: time it "
            "in the program that runs it",
            "run",
        )
    return given


def integers(text: str, key: str, count: int | None = None) -> list[int]:
    """The positive integers of a text with commas between.

    >>> integers("1,4", "batch_sizes")
    [1, 4]

    Raises:
        UsageError: If it is something else, or not of so many.
    """
    words = [word for word in re.split(r"[\s,\[\]()]+", text) if word]
    good = bool(words) and all(word.isdecimal() and int(word) > 0 for word in words)
    if not good or (count is not None and len(words) != count):
        kind = "integers above 0" if count is None else f"{count} integers above 0"
        raise UsageError(f"expected {kind} with commas between, found {text!r}", key)
    return [int(word) for word in words]


def main(args: Sequence[str]) -> None:
    """Measures as the arguments say, prints tables and writes JSON."""
    given = options(args)
    # here, so that --help and mistakes are quick
    from rich.console import Console
    from rich.progress import Progress

    from fusionseg.bench.report import cost, show
    from fusionseg.files.atomic import write_json

    batch_sizes = integers(given.batch_sizes, "batch_sizes")
    precisions = _precisions(given)
    trust = values(args, "--trust")
    with mendable(), TemporaryDirectory(prefix="fusionseg-bench-") as folder:
        predictors = _predictors(given, trust)
        images = _images(given, predictors(precisions[0]), max(batch_sizes), Path(folder), trust)
        answers = len(precisions) * len(batch_sizes) * (given.warmup + 2 * given.repeats)
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("measuring", total=answers)
            series = (given.repeats, given.warmup, partial(progress.advance, task))
            found = cost(predictors, precisions, batch_sizes, images, *series)
    show(found, Console())
    if given.out is not None:
        write_json(given.out, found)
        print(given.out)


def _precisions(given: Options) -> list[str]:
    """The precisions, each once."""
    from fusionseg.engine.precision import fast_precision

    kind = "auto" if given.device is None else given.device.split(":")[0]
    chosen = given.precisions or f"{fast_precision(kind)},32-true"
    return list(dict.fromkeys(word.strip() for word in chosen.split(",")))


def _predictors(given: Options, trust: Sequence[str]) -> "Callable[[str], Predictor]":
    """Gives the model in a precision; the last one is kept."""
    from fusionseg.inference.predictor import Predictor

    @lru_cache(maxsize=1)
    def predictor(precision: str) -> Predictor:
        return Predictor(
            given.run,
            device=given.device,
            precision=precision,
            threads=given.threads,
            untuned=given.untuned,
            trust=trust,
        )

    return predictor


def _images(
    given: Options, predictor: "Predictor", count: int, folder: Path, trust: Sequence[str]
) -> "BenchImages":
    """The images to time the model on."""
    from fusionseg.bench.images import Reading, bench_images

    reading = Reading(predictor.channels, predictor.settings["value_range"])
    size = None
    if given.size is not None:
        height, width = integers(given.size, "size", 2)
        size = (height, width)
    return bench_images(given.run, given.images, size, count, folder, reading, trust)
