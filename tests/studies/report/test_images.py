"""The images on which variants differ most, chosen from evaluations and predicted again."""

import base64
import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionseg.config.errors import UserError
from fusionseg.pages.blocks import Gallery, Words
from fusionseg.pages.embedded import data_address
from fusionseg.pages.page import page
from fusionseg.sample import Picture
from fusionseg.studies.report.analysis import Analysis, analysis
from fusionseg.studies.report.build import sections
from fusionseg.studies.report.differing_images import differing_images
from fusionseg.studies.report.question import question
from fusionseg.studies.report.sections import images
from fusionseg.studies.results import collect
from fusionseg.studies.run_result import RunResult

Rows = Mapping[str, Mapping[str, Picture]]


def painted(run: RunResult, split: str, names: Sequence[str]) -> Rows:
    """A photo of noise and maps of a few colors, of the size of CamVid's."""
    rng = np.random.default_rng(run.seed)
    photo = rng.integers(0, 255, (36, 48, 3), np.uint8).repeat(10, 0).repeat(10, 1)
    labels = np.zeros((360, 480, 3), np.uint8)
    labels[:, 200:] = (200, 60, 60)
    tasks = [
        task
        for task in ("semantic", "region")
        if run.figures.get(f"val/{'miou' if task == 'semantic' else 'covering'}")
    ]
    maps = {f"{task} {kind}": labels for task in tasks for kind in ("truth", "prediction")}
    return {name: {"image": photo, **maps} for name in names}


@pytest.fixture(scope="module")
def numbers(heads: Path) -> Analysis:
    return analysis(question(collect([heads])), resamples=20)


def decoded(address: str) -> tuple[str, Picture]:
    kind, _, text = address.partition(";base64,")
    with Image.open(io.BytesIO(base64.b64decode(text))) as file:
        return kind, np.array(file.convert("RGB"))


def test_the_images_with_the_largest_range_come_first(numbers: Analysis) -> None:
    scores: dict[str, dict[str, list[float]]] = {}
    for variant in numbers.asked.variants:
        for run in numbers.asked.finished(variant):
            with (run.folder / "evaluation/val.csv").open() as file:
                for row in csv.DictReader(file):
                    scores.setdefault(row["name"], {}).setdefault(variant, []).append(float(row["score"]))
    means = {name: [np.mean(values) for values in found.values()] for name, found in scores.items()}
    expected = sorted(means, key=lambda name: float(min(means[name]) - max(means[name])))[:3]
    found = differing_images(numbers, 3, painted)
    assert [image.name for image in found] == expected
    assert found[0].range == pytest.approx(max(means[expected[0]]) - min(means[expected[0]]), rel=1e-12)


def test_each_task_has_a_row_of_the_image_the_truth_and_every_variant(numbers: Analysis) -> None:
    made = images.section(numbers, differing_images(numbers, 2, painted))
    assert made
    [gallery] = made.blocks
    assert isinstance(gallery, Gallery)
    assert [title.partition(", ")[2] for title, _ in gallery.rows] == ["semantic", "region"] * 2
    titles = [picture.title for picture in gallery.rows[0][1]]
    assert titles == ["image", "truth", *numbers.asked.variants]
    assert all(re.fullmatch(r"mIoU 0\.\d{3}", picture.detail) for picture in gallery.rows[0][1][2:])
    assert all(re.fullmatch(r"covering 0\.\d{3}", picture.detail) for picture in gallery.rows[1][1][2:])


def test_a_task_of_one_variant_alone_compares_nothing(joint_vs_single: Path) -> None:
    asked = question(collect([joint_vs_single]), "val/miou")
    made = images.section(analysis(asked, 10), differing_images(analysis(asked, 10), 1, painted))
    assert made
    [gallery] = made.blocks
    assert isinstance(gallery, Gallery)
    semantic = dict(gallery.rows)[next(title for title, _ in gallery.rows if title.endswith("semantic"))]
    assert [picture.title for picture in semantic] == ["image", "truth", "joint", "semantic"]


def test_why_there_are_no_pictures_is_said(numbers: Analysis) -> None:
    made = images.section(numbers, "best.ckpt: no such checkpoint")
    assert made
    [block] = made.blocks
    assert isinstance(block, Words)
    assert block.paragraphs == ["No pictures: best.ckpt: no such checkpoint."]
    assert images.section(numbers, "") is None


def test_a_painter_that_fails_is_not_hidden(numbers: Analysis) -> None:
    def failing(run: RunResult, split: str, names: Sequence[str]) -> Rows:
        raise UserError("data have moved")

    with pytest.raises(UserError, match="data have moved"):
        differing_images(numbers, 1, failing)


@pytest.mark.slow
def test_label_maps_keep_their_colors_and_photos_are_small(numbers: Analysis) -> None:
    labels = np.zeros((300, 900, 3), np.uint8)
    labels[:, 450:] = (12, 200, 77)
    kind, picture = decoded(data_address(labels))
    assert kind == "data:image/png"
    assert picture.shape == (107, 320, 3)
    assert {tuple(color) for color in picture.reshape(-1, 3).tolist()} == {(0, 0, 0), (12, 200, 77)}
    photo = np.random.default_rng(0).integers(0, 255, (600, 800, 3), np.uint8)
    kind, picture = decoded(data_address(photo))
    assert (kind, picture.shape) == ("data:image/jpeg", (240, 320, 3))


@pytest.mark.slow
def test_a_report_of_a_hundred_runs_is_below_5_mb(tmp_path: Path, study: object, variant: object) -> None:
    assert callable(study)
    assert callable(variant)
    variants = {
        f"a variant with a longer name, number {i}": variant((0.5 + i / 50, 0.9 - i / 50)) for i in range(20)
    }
    asked = question(collect([study(variants, range(5), images=2, epochs=60)]))
    numbers = analysis(asked, resamples=5)
    shown = differing_images(numbers, 4, painted)
    assert len(shown) == 2
    text = page(asked.results.name, [], "", sections(numbers, [*shown, *shown]))
    assert len(asked.results.runs) == 100
    assert len(text.encode()) < 5_000_000
