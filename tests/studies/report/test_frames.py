import io
from pathlib import Path

import pandas as pd
import pytest

from fusionseg.config.errors import UsageError
from fusionseg.studies import tables
from fusionseg.studies.report.analysis import analysis
from fusionseg.studies.report.build import sections, write
from fusionseg.studies.report.question import question
from fusionseg.studies.results import collect


def test_tables_are_those_that_a_report_writes(begun: Path, tmp_path: Path) -> None:
    found = tables(begun)
    numbers = analysis(question(collect([begun])))
    write(numbers, sections(numbers), tmp_path)
    assert found.keys() == {path.stem for path in tmp_path.glob("*.csv")}
    for name, frame in found.items():
        shown = io.StringIO(frame.to_csv(index=False))
        pd.testing.assert_frame_equal(pd.read_csv(shown), pd.read_csv(tmp_path / f"{name}.csv"))
    assert found["scores"]["mean"].between(0, 1).all()


def test_another_reference_and_figure_are_compared(begun: Path) -> None:
    variants = collect([begun]).variants
    found = tables(begun, metric="val/covering", reference=variants[1])["differences"]
    assert set(found["metric"]) == {"val/covering"}
    assert variants[1] not in set(found["variant"])
    with pytest.raises(UsageError, match="no variant 'nothing'"):
        tables(begun, reference="nothing")
