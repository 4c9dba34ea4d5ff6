"""Predicts images: label maps, COCO panoptic and instances JSON, a table of segments, and overlays."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fusionseg.cli.arguments import switched, values
from fusionseg.cli.help import options_manual
from fusionseg.cli.parser import Parser
from fusionseg.config.errors import UsageError, mendable
from fusionseg.files.atomic import Json
from fusionseg.inference.input_images import InputImages
from fusionseg.inference.prediction_record import PredictionRecord

if TYPE_CHECKING:
    from fusionseg.engine.passes import Passes
    from fusionseg.inference.predictor import Predictor

ABOUT = """Writes for each image a semantic PNG (palette), a region PNG (16 bit), a panoptic PNG and an
overlay, on the grid of the stored pixels; for all images together COCO panoptic JSON, COCO instances JSON
with polygons, a table of segments (segments.csv), and in scenes.json and scenes.csv how likely each shows
each class, which is all that a classifier (ClassificationModule) answers. predictions.jsonl records what
is done: the same command goes on after an interruption. With --windows TIFF files of any size are
answered in windows, and semantic/ and region/ (32 bit) are TIFF files too."""


FURTHER = ("probabilities", "soft", "entropy")
"""What is written where it is asked for."""


@dataclass
class Options:
    """The arguments of the command.

    Args:
        images: Images, folders of images, or glob patterns; one or more.
        out: Folder to write to; what it holds of the same model and settings is continued.
        run: Run folder, for its best checkpoint; of several, an ensemble, the mean of what they predict is
            decoded.
        checkpoint: Checkpoint, or ONNX file of `fusionseg export`, instead of a run folder.
        depth: Depth of the images, for models that take it (`RGBD`): a folder in which files have the images'
            names, gray of 16 bits (PNG, TIFF) or arrays (NPY, floats in meters); or a file for one image.
        depth_step: Meters of an integer's 1 in files of depth.
        scale: Size at which the network sees an image, relative to the file; as in training where left out.
        value_range: Values that are black and white in images of more than 8 bits; as in training where left
            out.
        precision: As Lightning's; that of the training where left out.
        device: As torch's, such as cuda:1; the fastest where left out.
        threads: Threads of torch and OpenCV; theirs where left out.
        batch_size: How many consecutive images of one size the network sees at once.
        trust: As in fusionseg.evaluate.
        untuned: As in fusionseg.evaluate.
        tile: As in fusionseg.evaluate.
        overlap: As in fusionseg.evaluate.
        windows: Read, answer and write TIFF files in windows of --tile, in memory that does not grow with the
            image (takes "fusionseg[tiff]").
        tta: As in fusionseg.evaluate.
        samples: Ask the network so often with its dropout layers on, and decode the mean.
        entropy: Also write how uncertain the class of each pixel is: entropy/, gray PNG of 16 bits, white
            where all classes are as likely; of several runs or samples also their disagreement/.
        probabilities: Write the probabilities of all classes too, an NPZ file for each image.
        soft: Write confidence and soft boundaries too, as gray PNG of 16 bits.
        explain: A class: also write where the network looks for it (Grad-CAM), as overlays in explain/ and
            gray PNG of 16 bits in attribution/.
    """

    images: list[str]
    out: Path
    run: list[str] | None = None
    checkpoint: Path | None = None
    depth: Path | None = None
    depth_step: float = 0.001
    scale: float | None = None
    value_range: tuple[float, float] | None = None
    precision: str | None = None
    device: str | None = None
    threads: int | None = None
    batch_size: int = 1
    trust: str | None = None
    untuned: bool = False
    tile: int | None = None
    overlap: int = 128
    windows: bool = False
    tta: str = ""
    samples: int | None = None
    entropy: bool = False
    probabilities: bool = False
    soft: bool = False
    explain: str | None = None


def options(args: Sequence[str]) -> Options:
    """The arguments of the command.

    Raises:
        UsageError: If they cannot be used.
    """
    parser = Parser(allow_abbrev=False)
    usage = "fusionseg.predict --run DIR ... --images PATH ... --out DIR"
    parser.manual = lambda: options_manual(usage, ABOUT, Options)
    parser.add_class_arguments(Options, skip={"images", "run"}, instantiate=False)
    parser.add_argument("--run", nargs="+", type=str)
    parser.add_argument("--images", nargs="+", type=str, required=True)
    return Options(**parser.parse_args(switched(args, ("untuned", "windows", *FURTHER))).as_dict())


def main(args: Sequence[str]) -> None:
    """Predicts as the arguments say and prints the folder."""
    given = options(args)
    # here, so that --help is quick
    from fusionseg.inference.prediction_files import check_folder, predict
    from fusionseg.inference.window_predictions import predict_windows

    with mendable():
        windows = _windows(given)
        check_folder(given.out)
        images = InputImages(given.images, given.out)
        if images.notice:
            print(images.notice, file=sys.stderr)
        if given.depth is not None:
            if not given.depth_step > 0:
                raise UsageError(f"expected meters above 0, found {given.depth_step}", "depth_step")
            images.take_depth(given.depth)
        predictor = _predictor(given, values(args, "--trust"))
        settings = {**predictor.settings, **_written(given, predictor)}
        record = PredictionRecord(
            given.out, settings | ({"windows": True, **windows.record} if windows else {})
        )
    for line in (predictor.decoder.line() if predictor.decoder else "", predictor.notice):
        if line:
            print(line, file=sys.stderr)
    if windows:
        predict_windows(predictor, images.by_name, record, windows)
    else:
        predict(predictor, images.by_name, record)
    print(given.out)


def _windows(given: Options) -> "Passes | None":
    """The size and overlap of the windows that images are answered in; None for whole images.

    Raises:
        UsageError: If there is no size, or something is asked for that is not written in windows.
    """
    if not given.windows:
        return None
    from fusionseg.inference.window_predictions import window_passes

    further = {name: bool(getattr(given, name)) for name in (*FURTHER, "explain", "depth")}
    return window_passes(given.tile, given.overlap, further)


def _predictor(given: Options, trust: Sequence[str]) -> "Predictor":
    """The model that the arguments name, as it sees images."""
    from fusionseg.inference.predictor import Predictor

    return Predictor(
        _source(given),
        precision=given.precision,
        device=given.device,
        threads=given.threads,
        batch_size=given.batch_size,
        scale=given.scale,
        value_range=given.value_range,
        untuned=given.untuned,
        trust=trust,
        tile=None if given.windows else given.tile,
        overlap=given.overlap,
        tta=given.tta,
        samples=given.samples,
    )


def _written(given: Options, predictor: "Predictor") -> Json:
    """What is written where it is asked for.

    Raises:
        UserError: If the model has no such thing, cannot explain the class, or takes no depth.
    """
    from fusionseg.inference.checks import check_asked

    written: Json = {name: getattr(given, name) for name in FURTHER}
    check_asked(predictor.model, [name for name in FURTHER if written[name]])
    if given.depth is not None:
        if "depth_limit" not in predictor.settings:
            raise UsageError("the model takes no depth: leave it out", "depth")
        written["depth_step"] = given.depth_step
    if given.explain is None:
        return written
    from fusionseg.inference.attribution import AttributionTarget
    from fusionseg.inference.explaining import check_target

    check_target(predictor.model, predictor.passes, AttributionTarget(given.explain))
    return {**written, "explain": given.explain}


def _source(given: Options) -> Path | list[str]:
    """The run folders or the checkpoint, of which exactly one is given.

    Raises:
        UsageError: If that is not so, or the other one is meant.
    """
    if given.run is not None and given.checkpoint is None:
        if files := [path for path in given.run if Path(path).is_file()]:
            raise UsageError(f"expected a run folder, found the file {files[0]}: a --checkpoint?", "run")
        return given.run
    if given.checkpoint is not None and given.run is None:
        if given.checkpoint.is_dir():
            raise UsageError(
                f"expected a checkpoint, found the folder {given.checkpoint}: a --run?", "checkpoint"
            )
        return given.checkpoint
    found = "neither" if given.run is None else "both"
    raise UsageError(f"expected --run or --checkpoint, found {found}")
