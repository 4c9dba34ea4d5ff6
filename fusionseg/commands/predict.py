"""Predicts images: label maps, COCO panoptic JSON and overlays."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fusionseg.cli.help import options_manual
from fusionseg.cli.parser import Parser, values
from fusionseg.runs.prediction_files import image_files, model_of, predict, prepared_folder

ABOUT = """Writes for each image a semantic PNG (palette), a region PNG (16 bit), a panoptic PNG with COCO
panoptic JSON, an overlay, and in scenes.json how likely it shows each class."""


@dataclass
class Options:
    """The arguments of the command.

    Args:
        images: Images, folders of images, or glob patterns; one or more.
        out: Folder to write to.
        run: Run folder, for its best checkpoint.
        checkpoint: Checkpoint file, instead of a run folder.
        scale: Size at which the network sees an image, relative to the file; as in training where left out.
        precision: As Lightning's; bf16-mixed where left out and that is fast.
        trust: As in fusionseg.evaluate.
    """

    images: list[str]
    out: Path
    run: Path | None = None
    checkpoint: Path | None = None
    scale: float | None = None
    precision: str | None = None
    trust: str | None = None


def options(args: Sequence[str]) -> Options:
    """The arguments of the command.

    Raises:
        UsageError: If they cannot be used.
    """
    parser = Parser(allow_abbrev=False)
    parser.manual = lambda: options_manual("predict --run DIR --images PATH ... --out DIR", ABOUT, Options)
    parser.add_class_arguments(Options, skip={"images"}, instantiate=False)
    parser.add_argument("--images", nargs="+", type=str, required=True)
    return Options(**parser.parse_args(list(args)).as_dict())


def main(args: Sequence[str]) -> None:
    """Predicts as the arguments say and prints the folder."""
    given = options(args)
    files = image_files(given.images)
    folder = prepared_folder(given.out)
    model, scale = model_of(given.run, given.checkpoint, given.scale, values(args, "--trust"))
    predict(model, files, folder, scale, given.precision)
    print(folder)
