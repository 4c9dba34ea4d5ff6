"""How to read the report: what its numbers are, and what they assume."""

from fusionseg.pages.blocks import Section, Words
from fusionseg.studies.report.analysis import Analysis

TEXT = (
    "Every figure is that of a whole split: sums of all images are added and the figure is computed once, "
    "at the resolution of the label files; it is no mean over images.",
    "Spread is the standard deviation over seeds. An interval over seeds is Student's and speaks of other "
    "trainings on the same data; it takes the figures, or their differences, to be roughly normal, which "
    "few seeds can neither show nor refute. The sign-flip test takes nothing of the kind for granted and "
    "needs more seeds.",
    "An interval over images is a paired bootstrap of the same trained runs and speaks of other images. "
    "Where images come in groups (sequences, cities, scenes), whole groups are drawn; of fewer than 10 "
    "groups, blocks of consecutive images within each, and the interval holds within these groups only. "
    "Images count nowhere as replicates of a training.",
    "Tests compare each variant with the reference, seed by seed, and are corrected together after Holm. "
    "Where a seed is missing the tests of that variant are withheld, since runs do not fail by chance; "
    "they count in the correction all the same. What is not shown is not absent: see which difference "
    "would have been shown.",
)


def section(numbers: Analysis) -> Section:
    """What holds for every report."""
    return Section("How to read this", [Words(TEXT)])
