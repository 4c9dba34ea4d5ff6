"""The files of an evaluation's calibration: tables as CSV and diagrams as PNG."""

from pathlib import Path

from fusionseg.calibration.diagram import diagram
from fusionseg.calibration.measured import Calibration
from fusionseg.calibration.tables import bins, risk
from fusionseg.files.atomic import replacing, write_text
from fusionseg.files.csv_text import as_csv

NAMES = ("calibration.csv", "risk_coverage.csv", "calibration.png")


def write(calibration: Calibration, folder: Path, split: str) -> None:
    """Writes `<split>_calibration.csv`, `<split>_risk_coverage.csv` and `<split>_calibration.png`.

    Where no pixel was measured there is nothing to write.

    Args:
        calibration: What was measured.
        folder: Where to write.
        split: `val` or `test`.
    """
    tables, curves, picture = (folder / f"{split}_{name}" for name in NAMES)
    measured = [one for one in calibration.measured() if one.pixels]
    if not measured:
        remove(folder, split)
        return
    write_text(tables, as_csv(bins(measured, calibration.classes)))
    write_text(curves, as_csv(risk(measured)))
    with replacing(picture) as draft:
        diagram(measured).savefig(draft, dpi=120)


def remove(folder: Path, split: str) -> None:
    """Removes the files of an earlier evaluation."""
    for name in NAMES:
        (folder / f"{split}_{name}").unlink(missing_ok=True)
