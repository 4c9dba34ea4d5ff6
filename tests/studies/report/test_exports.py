"""Tables in files, read back by other readers than wrote them."""

import csv
import io
import math
import re

import pandas as pd
import pytest

from fusionseg.pages.blocks import Cell, Column, Table
from fusionseg.studies.report.exports import as_csv, as_latex, as_markdown

TABLE = Table(
    "scores",
    "Scores of 100 % of a_b.",
    [Column("variant"), Column("val score", numeric=True)],
    [
        [
            Cell("a_b & <c> | *d*"),
            Cell("0.579 \N{PLUS-MINUS SIGN} 0.004", 0.5789, "[0.570, 0.590]", bold=True),
        ],
        [Cell("plain"), Cell("\N{MINUS SIGN}0.1", -0.1)],
    ],
    [
        {"variant": 'a,"b"\nc', "mean": 0.5789123456789, "low": math.nan},
        {"variant": "plain", "mean": -0.1, "seeds": 3},
    ],
    ["Below 5 % of #1."],
)


def test_csv_keeps_numbers_in_full_and_text_as_it_is() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(TABLE))))
    assert [row["variant"] for row in rows] == ['a,"b"\nc', "plain"]
    assert float(rows[0]["mean"]) == 0.5789123456789
    frame = pd.read_csv(io.StringIO(as_csv(TABLE)))
    assert frame["low"].isna().all()
    assert frame["seeds"].tolist()[1] == 3


def test_markdown_has_a_cell_for_each_column_and_escapes_what_it_would_read() -> None:
    lines = as_markdown(TABLE).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [3] * 4
    assert rows[1] == "|---|---:|"
    assert rows[2] == (
        r"| a\_b &amp; \<c\> \| \*d\* | **0.579 " "\N{PLUS-MINUS SIGN}" r" 0.004 \[0.570, 0.590\]** |"
    )


def test_latex_is_booktabs_with_every_special_character_escaped() -> None:
    text = as_latex(TABLE)
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}{lr}"))
    assert (
        r"a\_b \& \textless{}c\textgreater{} \textbar{} *d* & \textbf{0.579 $\pm$ 0.004 [0.570, 0.590]} \\"
        in text
    )
    assert r"plain & $-$0.1 \\" in text
    assert r"\caption{Scores of 100 \% of a\_b.}" in text
    assert text.isascii()


@pytest.mark.parametrize("form", [as_markdown, as_latex])
def test_what_is_not_significant_is_not_bold(form: object) -> None:
    plain = Table("t", "c", [Column("a")], [[Cell("0.5")]], [])
    assert callable(form)
    text = str(form(plain))
    assert "textbf" not in text
    assert "**0.5**" not in text
