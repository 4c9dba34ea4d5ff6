"""The same images across variants side by side, those that differ most first."""

from collections.abc import Mapping, Sequence

from fusionseg.pages.blocks import Block, Gallery, Section, Shown, Words
from fusionseg.pages.embedded import data_address
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.differing_images import DifferingImage
from fusionseg.studies.report.figures import NAMES, title
from fusionseg.studies.report.numbers import shown
from fusionseg.studies.report.question import Question

TRUTH = " truth"
PREDICTION = " prediction"

FIGURES = {
    "semantic": "miou",
    "region": "covering",
    "depth": "depth_delta1",
    "disparity": "disparity_delta1",
    "normals": "normals_within_11",
}
"""The figure that is shown of each task."""


def section(numbers: Analysis, images: Sequence[DifferingImage] | str) -> Section | None:
    """Pictures of the images on which variants differ most; why there are none, if a text is given.

    Args:
        numbers: The numbers of the report.
        images: The images, or why they could not be predicted again.
    """
    if isinstance(images, str):
        return Section("Images", [Words([f"No pictures: {images}."])]) if images else None
    if not images:
        return None
    metric = title(numbers.asked.metric)
    rows = [row for image in images for row in _rows(image, numbers.asked)]
    seeds = {numbers.asked.finished(name)[0].seed for name in images[0].pictures}
    which = ", ".join(map(str, sorted(seeds)))
    caption = (
        f"The images on which the variants differ most by {metric} of the image alone, the most first; "
        f"below each the figure of its task on this image, mean over seeds. Predictions are of seed {which}."
    )
    blocks: list[Block] = [Gallery(caption, rows)]
    return Section("Images", blocks)


def _rows(image: DifferingImage, asked: Question) -> list[tuple[str, list[Shown]]]:
    """A row for each task that several variants train: the image, the truth, and the predictions."""
    keys = dict.fromkeys(key for row in image.pictures.values() for key in row if key.endswith(PREDICTION))
    rows = []
    for task in (key.removesuffix(PREDICTION) for key in keys):
        having = {
            name: row
            for name, row in image.pictures.items()
            if f"{task}{PREDICTION}" in row and asked.trains(name, FIGURES.get(task, ""))
        }
        if len(having) < 2:
            continue
        first = next(iter(having.values()))
        pictures = [Shown("image", data_address(first["image"]))]
        if f"{task}{TRUTH}" in first:
            pictures.append(Shown("truth", data_address(first[f"{task}{TRUTH}"])))
        for name, row in having.items():
            detail = _detail(image.figures.get(name, {}), task)
            pictures.append(Shown(name, data_address(row[f"{task}{PREDICTION}"]), detail))
        rows.append((f"{image.name}, {task}", pictures))
    return rows


def _detail(figures: Mapping[str, float], task: str) -> str:
    """The main figure of a task."""
    name = FIGURES.get(task, "")
    return f"{NAMES[name]} {shown(figures[name])}" if name in figures else ""
