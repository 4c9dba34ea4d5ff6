"""The tables of a report as tables of pandas."""

from pathlib import Path
from typing import TYPE_CHECKING

from fusionseg.config.errors import UsageError
from fusionseg.pages.blocks import Table
from fusionseg.studies.report.analysis import analysis
from fusionseg.studies.report.build import sections
from fusionseg.studies.report.question import question, report_notices
from fusionseg.studies.results import collect

if TYPE_CHECKING:
    import pandas as pd


def tables(
    path: str | Path, name: str | None = None, metric: str | None = None, reference: str | None = None
) -> "dict[str, pd.DataFrame]":
    """The tables of `fusionseg report` of a study by their names, with means, intervals and tests as numbers.

    What is said beside them, such as why there are no tests, is printed as the command prints it.

    Args:
        path: Folder of the study.
        name: Which study, where the folder holds several.
        metric: Figures that decide in place of the study's own; several with commas between.
        reference: The variant to compare with in place of the study's own.

    Raises:
        UsageError: If an argument names nothing that there is, no run is finished, or pandas is missing.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise UsageError('a table needs pandas: pip install "fusionseg[study]"') from error
    asked = question(collect([path], name), metric, reference)
    report_notices(asked)
    made = sections(analysis(asked))
    blocks = [block for section in made for block in section.blocks]
    return {block.name: pd.DataFrame(block.records) for block in blocks if isinstance(block, Table)}
