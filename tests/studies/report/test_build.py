from pathlib import Path

from fusionseg.pages.blocks import Section, Table
from fusionseg.studies.report.analysis import analysis
from fusionseg.studies.report.build import write
from fusionseg.studies.report.question import question
from fusionseg.studies.results import collect


def test_tables_of_an_earlier_report_are_removed_and_other_files_stay(begun: Path, tmp_path: Path) -> None:
    numbers = analysis(question(collect([begun])), resamples=5)
    made = {name: Section(name, [Table(name, "", [], [], [])]) for name in ("front-table", "scores")}
    write(numbers, list(made.values()), tmp_path)
    for name in ("paper.tex", "notes.md", "data.csv"):
        (tmp_path / name).write_text("mine")
    write(numbers, [made["scores"]], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("index.html", "scores.csv", "scores.md", "scores.tex"),
        *("paper.tex", "notes.md", "data.csv"),
    }
