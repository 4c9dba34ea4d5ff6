"""The tables of a report as CSV, Markdown and LaTeX (booktabs)."""

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence

from fusionseg.pages.blocks import Cell, Table, Value

LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    "\N{DAGGER}": r"$^\dagger$",
    "\N{DOUBLE DAGGER}": r"$^\ddagger$",
    "\N{NO-BREAK SPACE}": "~",
    "\N{MIDDLE DOT}": r"$\cdot$",
    "\N{GREEK SMALL LETTER DELTA}": r"$\delta$",
    "\N{GREEK CAPITAL LETTER DELTA}": r"$\Delta$",
    "\N{DEGREE SIGN}": r"$^\circ$",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{ALMOST EQUAL TO}": r"$\approx$",
}
"""How characters are written in LaTeX that mean something else there, or that its fonts lack."""


FIRST_LINE = r"% needs \usepackage{booktabs}"
"""Of each table in LaTeX, by which those of an earlier report are known."""


def as_csv(table: Table) -> str:
    """The records of a table with a heading, numbers in full."""
    text = io.StringIO()
    columns = list(dict.fromkeys(name for record in table.records for name in record))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _plain(value) for name, value in record.items()} for record in table.records)
    return text.getvalue()


def as_markdown(table: Table) -> str:
    """The table as the page shows it, in Markdown, with caption and notes."""
    lines = [f"**{_markdown(table.caption)}**", ""]
    lines.append(_markdown_row(column.title for column in table.columns))
    lines.append("|" + "|".join("---:" if column.numeric else "---" for column in table.columns) + "|")
    for row in table.rows:
        lines.append(_markdown_row((_whole(cell) for cell in row), [cell.bold for cell in row]))
    lines += [line for note in table.notes for line in ("", _markdown(note))]
    return "\n".join(lines) + "\n"


def as_latex(table: Table) -> str:
    """The table as the page shows it, in LaTeX with booktabs, with caption and notes."""
    alignment = "".join("r" if column.numeric else "l" for column in table.columns)
    heading = " & ".join(latex(column.title) for column in table.columns)
    rows = [" & ".join(_latex_cell(cell) for cell in row) + r" \\" for row in table.rows]
    notes = [rf"\par\smallskip\footnotesize {latex(note)}" for note in table.notes]
    lines = [
        FIRST_LINE,
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        rf"{heading} \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        *notes,
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def latex(text: str) -> str:
    """Text as LaTeX writes it.

    >>> latex("a_b & 5 %")
    'a\\\\_b \\\\& 5 \\\\%'
    """
    return "".join(LATEX.get(character, character) for character in text)


def _latex_cell(cell: Cell) -> str:
    text = latex(_whole(cell))
    return rf"\textbf{{{text}}}" if cell.bold else text


def _whole(cell: Cell) -> str:
    """The text of a cell with its detail."""
    return f"{cell.text} {cell.detail}".strip()


def _markdown_row(texts: Iterable[str], bold: Sequence[bool] = ()) -> str:
    cells = [_markdown(text) for text in texts]
    marked = [f"**{cell}**" if i < len(bold) and bold[i] else cell for i, cell in enumerate(cells)]
    return "| " + " | ".join(marked) + " |"


def _markdown(text: str) -> str:
    """Text without what Markdown or HTML would make of it."""
    escaped = re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text.replace("&", "&amp;"))
    return " ".join(escaped.split())


def _plain(value: Value) -> Value:
    return "" if isinstance(value, float) and math.isnan(value) else value
