"""What `evaluate --corruptions` does: measures, compares, prints a table and writes the files."""

import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from fusionseg.config.errors import UsageError
from fusionseg.corruptions import Corruption
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.engine.passes import WHOLE, Passes
from fusionseg.files.atomic import Json, write_text
from fusionseg.files.csv_text import as_csv
from fusionseg.robustness import choice
from fusionseg.robustness.comparison import Comparison, rows, table
from fusionseg.robustness.measuring import image_digest, measured
from fusionseg.robustness.picture import write_picture
from fusionseg.robustness.results import Results
from fusionseg.runs.folder import RunFolder

ALL = "1..5"
"""The severities where none are named."""


class Request(NamedTuple):
    """What is measured and compared.

    Attributes:
        corruptions: The corruptions.
        severities: Their severities.
        beside: The results of other runs, by their folders.
        passes: How images are seen, in this run and in others.
        checkpoint: Which checkpoint is measured, of this run and of others.
    """

    corruptions: tuple[Corruption, ...]
    severities: tuple[int, ...]
    beside: dict[str, Results]
    passes: Passes = WHOLE
    checkpoint: str = "best"


def requested(given: Any, data: Any, passes: Passes = WHOLE) -> Request | None:
    """What the arguments of `evaluate` ask for; None if it is nothing under corruptions.

    Args:
        given: `corruptions`, `severities`, `beside`, `split`, `checkpoint`, `official` and `calibration`.
        data: The data.
        passes: How images are seen.

    Raises:
        UsageError: If it cannot be measured or compared.
    """
    if given.corruptions is None:
        for key in ("severities", "beside"):
            if given[key] is not None:
                raise UsageError("expected --corruptions beside it (all, or names)", key)
        return None
    if given.split != "val":
        raise UsageError("expected val for --corruptions: the test split has final figures alone", "split")
    for key in ("official", "calibration"):
        if given[key]:
            raise UsageError("not measured under corruptions: leave out one of the two", key)
    if not isinstance(data, SegmentationDataModule):
        raise UsageError(f"expected a SegmentationDataModule, found {type(data).__name__}", "corruptions")
    chosen = choice.corruptions(given.corruptions, data.channels)
    severities = choice.severities(given.severities or ALL)
    beside = _beside(given.beside, data, passes, given.checkpoint)
    request = Request(chosen, severities, beside, passes, given.checkpoint)
    _check_measured(request, given.corruptions, given.severities or ALL)
    for corruption in choice.corruptions(given.corruptions):
        if corruption not in chosen:
            print(f"{corruption.name} is left out: it takes images of 3 channels", file=sys.stderr)
    return request


def report(
    module: Any, data: SegmentationDataModule, run: RunFolder, request: Request, precision: str, weights: Json
) -> Path:
    """Measures what is missing, prints the table and writes it as CSV and PNG beside the JSON file.

    Args:
        module: The run's model.
        data: Its data.
        run: The run folder.
        request: What is measured and compared.
        precision: As Lightning's.
        weights: What identifies the model's weights and decoding.

    Returns:
        The JSON file.
    """
    path = _file(run, request.passes, request.checkpoint)
    asked = (request.corruptions, request.severities)
    own = measured(module, data, *asked, path, precision, weights, request.passes)
    comparison = Comparison({str(run.path): own, **request.beside}, *asked)
    write_text(path.with_suffix(".csv"), as_csv(rows(comparison)))
    write_picture(comparison, path.with_suffix(".png"))
    print(table(comparison))
    return path


def _file(run: RunFolder, passes: Passes, checkpoint: str) -> Path:
    """The file of a run's figures under corruptions."""
    return run.evaluated("corruptions", checkpoint, passes.name)


def _beside(
    folders: str | None, data: SegmentationDataModule, passes: Passes, checkpoint: str
) -> dict[str, Results]:
    """The results of other runs on the same images.

    Raises:
        UsageError: If there are none, or they are of other images.
    """
    results = {}
    for name in re.split(r"\s*,\s*", folders.strip()) if folders else ():
        path = _file(RunFolder(name), passes, checkpoint)
        if not path.is_file():
            raise UsageError(
                f"{name} was not measured under corruptions: do so with `fusionseg evaluate --run {name} "
                f"--checkpoint {checkpoint} --corruptions ...` first",
                "beside",
            )
        results[name] = Results.read(path)
        if results[name].images != image_digest(data):
            raise UsageError(
                f"{name} was measured on other images or classes: it cannot be compared", "beside"
            )
    return results


def _check_measured(request: Request, corruptions: str, severities: str) -> None:
    """Raises a UsageError if a run beside was not measured under all that is asked for."""
    for name, results in request.beside.items():
        for corruption in request.corruptions:
            for severity in request.severities:
                if not results.has(corruption.name, severity):
                    raise UsageError(
                        f"{name} was not measured under {corruption.name} {severity}: do so with `fusionseg "
                        f"evaluate --run {name} --checkpoint {request.checkpoint} --corruptions "
                        f"{corruptions} --severities {severities}` first",
                        "beside",
                    )
