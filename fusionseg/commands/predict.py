"""Predicts images: label maps, COCO panoptic JSON and overlays."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fusionseg.cli.arguments import switched, values
from fusionseg.cli.help import options_manual
from fusionseg.cli.parser import Parser
from fusionseg.config.errors import mendable
from fusionseg.runs.input_images import InputImages
from fusionseg.runs.prediction_record import PredictionRecord

ABOUT = """Writes for each image a semantic PNG (palette), a region PNG (16 bit), a panoptic PNG with COCO
panoptic JSON, an overlay, and in scenes.json how likely it shows each class, all on the grid of the stored
pixels. predictions.jsonl records what is done: the same command goes on after an interruption."""


@dataclass
class Options:
    """The arguments of the command.

    Args:
        images: Images, folders of images, or glob patterns; one or more.
        out: Folder to write to; what it holds of the same checkpoint, scale and value range is continued.
        run: Run folder, for its best checkpoint.
        checkpoint: Checkpoint file, instead of a run folder.
        scale: Size at which the network sees an image, relative to the file; as in training where left out.
        value_range: Values that are black and white in images of more than 8 bits; as in training where left
            out.
        precision: As Lightning's; bf16-mixed where left out and that is fast.
        trust: As in fusionseg.evaluate.
        untuned: As in fusionseg.evaluate.
    """

    images: list[str]
    out: Path
    run: Path | None = None
    checkpoint: Path | None = None
    scale: float | None = None
    value_range: tuple[float, float] | None = None
    precision: str | None = None
    trust: str | None = None
    untuned: bool = False


def options(args: Sequence[str]) -> Options:
    """The arguments of the command.

    Raises:
        UsageError: If they cannot be used.
    """
    parser = Parser(allow_abbrev=False)
    usage = "fusionseg.predict --run DIR --images PATH ... --out DIR"
    parser.manual = lambda: options_manual(usage, ABOUT, Options)
    parser.add_class_arguments(Options, skip={"images"}, instantiate=False)
    parser.add_argument("--images", nargs="+", type=str, required=True)
    return Options(**parser.parse_args(switched(args, ("untuned",))).as_dict())


def main(args: Sequence[str]) -> None:
    """Predicts as the arguments say and prints the folder."""
    given = options(args)
    # here, so that --help is quick
    from fusionseg.runs.prediction_files import check_folder, model_of, predict

    with mendable():
        check_folder(given.out)
        images = InputImages(given.images, given.out)
        if images.notice:
            print(images.notice, file=sys.stderr)
        trust = values(args, "--trust")
        model, settings, decoder = model_of(
            given.run, given.checkpoint, given.scale, given.value_range, trust, given.untuned
        )
        record = PredictionRecord(given.out, settings)
    if decoder:
        print(decoder.line(), file=sys.stderr)
    predict(model, images.by_name, record, given.precision)
    print(given.out)
