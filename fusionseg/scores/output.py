"""The table of scores that is printed, and the files that are written."""

import math
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fusionseg.config.errors import UsageError, UserError
from fusionseg.files.atomic import write_json, write_text
from fusionseg.files.csv_text import as_csv
from fusionseg.scores.result import Curve, Scores

ENDS = ("images.csv", "best.csv", "curve.csv", "curve.png", "curve.html")
"""How the names of the files end that are written beside the JSON file."""


def printed(scores: Scores) -> str:
    """The figures of the set, and of each class where there are classes, as a table."""
    count = f"{scores.images} image{'' if scores.images == 1 else 's'}"
    width = max(map(len, scores.metrics))
    lines = [count, *(f"{name:{width}}  {_shown(value)}" for name, value in scores.metrics.items())]
    if scores.classes:
        columns = [*dict.fromkeys(column for figures in scores.classes.values() for column in figures)]
        width = max(map(len, ["class", *scores.classes]))
        lines += ["", "  ".join([f"{'class':{width}}", *(f"{column:>10}" for column in columns)])]
        for name, figures in scores.classes.items():
            cells = (f"{_shown(figures.get(column, math.nan)):>10}" for column in columns)
            lines.append("  ".join([f"{name:{width}}", *cells]))
    return "\n".join(lines)


def _shown(value: float) -> str:
    """A figure with six digits, as the benchmarks print them."""
    return "-" if math.isnan(value) else f"{value:.6g}"


def check_out(path: Path, inputs: Iterable[object] = ()) -> None:
    """Checks where to write, before anything is computed.

    Args:
        path: The JSON file to write.
        inputs: The arguments, of which none may be that file.

    Raises:
        UserError: If the path is no JSON file, lies in a file, or is one of the inputs.
    """
    beside = [path.with_name(f"{path.stem}_{end}") for end in ENDS]
    read = [given.resolve() for given in inputs if isinstance(given, Path)]
    if same := next((one for one in (path, *beside) if one.resolve() in read), None):
        raise UserError(f"expected a file to write the scores to, found {same}, which is read")
    if path.suffix.lower() != ".json" or path.is_dir():
        raise UserError(f"expected the path of a .json file to write, found {path}")
    if above := next((folder for folder in path.parents if folder.exists() and not folder.is_dir()), None):
        raise UserError(f"expected a folder to write {path} to, found the file {above}")


def write(scores: Scores, kind: str, options: Any) -> list[Path]:
    """Writes the figures as JSON; beside it rows and best points as CSV, and the curve as CSV, PNG and HTML.

    Args:
        scores: What is written.
        kind: What was scored.
        options: The arguments, of which `out` is the JSON file.

    Returns:
        The files that were written.

    Raises:
        OSError: If a file cannot be written.
    """
    out = Path(options.out)
    given = {name: _plain(value) for name, value in asdict(options).items() if name not in ("out", "jobs")}
    classes = {"classes": scores.classes} if scores.classes else {}
    rows = out.with_name(f"{out.stem}_images.csv")
    write_text(rows, as_csv(scores.rows))
    paths = [out, rows]
    if scores.best:
        paths.append(out.with_name(f"{out.stem}_best.csv"))
        write_text(paths[-1], as_csv(scores.best))
    if scores.curve is not None:
        paths += _write_curve(scores.curve, out)
    # last, so that with it everything is there
    content = {"kind": kind, "images": scores.images, "metrics": scores.metrics, **classes, "options": given}
    write_json(out, {**content, "notices": list(scores.notices)})
    return paths


def _write_curve(curve: Curve, out: Path) -> list[Path]:
    """Writes a curve as CSV and as a picture, and as a page where what that takes is installed."""
    from fusionseg.scores.curve_files import write_page, write_picture  # here: matplotlib takes a second

    table = out.with_name(f"{out.stem}_curve.csv")
    write_text(table, as_csv(curve.points))
    paths = [table, write_picture(curve, table.with_suffix(".png"))]
    try:
        return [*paths, write_page(curve, table.with_suffix(".html"))]
    except UsageError as error:
        print(f"no interactive curve: {error}", file=sys.stderr)
        return paths


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
