"""The marks of figures that chose something by the images that they are of."""

from collections.abc import Iterable

from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.figures import title

OPTIMISTIC = "\N{DAGGER}"
"""The mark of figures of an epoch that they chose."""

OPTIMISTIC_NOTE = (
    f"{OPTIMISTIC} Optimistic: of the epoch with the best validation score, on the images that chose it."
)

CHOSEN = "\N{DOUBLE DAGGER}"
"""The mark of figures of a variant that they chose among others."""


def chosen_mark(numbers: Analysis, variant: str, figure: str) -> str:
    """What follows a figure of a variant that was chosen by it; empty otherwise."""
    return f" {CHOSEN}" if numbers.is_chosen_by(variant, figure) else ""


def chosen_notes(numbers: Analysis, figures: Iterable[str]) -> list[str]:
    """A note where one of some figures chose a variant."""
    if numbers.chosen is None or not any(numbers.is_chosen_by(numbers.chosen, one) for one in figures):
        return []
    of = f"{title(numbers.asked.metric)} of {numbers.chosen}"
    return [f"{CHOSEN} Optimistic: chosen among {len(numbers.candidates)} variants by this very score, {of}."]
