"""The page in headless Chromium: no message on the console, tables that sort and filter, charts that are drawn."""

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusionseg.commands import report
from fusionseg.pages.page import page
from fusionseg.sample import Picture
from fusionseg.studies.report.analysis import analysis
from fusionseg.studies.report.build import sections
from fusionseg.studies.report.differing_images import differing_images
from fusionseg.studies.report.numbers import DASH
from fusionseg.studies.report.question import question
from fusionseg.studies.results import collect
from fusionseg.studies.run_result import RunResult

pytestmark = pytest.mark.browser

Opened = Callable[..., Any]


def painted(run: RunResult, split: str, names: Sequence[str]) -> dict[str, dict[str, Picture]]:
    """Two gray pictures of each image, of the size of CamVid's."""
    gray = np.full((360, 480, 3), 30 * run.seed, np.uint8)
    return {name: {"image": gray, "semantic truth": gray, "semantic prediction": gray} for name in names}


@pytest.fixture(scope="module")
def pages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The page of a study, written once."""

    @functools.cache
    def page(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        report.main([str(request.getfixturevalue(name)), "--out", str(folder)])
        return folder / "index.html"

    return page


@pytest.fixture(params=["heads", "alpha_beta", "joint_vs_single", "begun"])
def written(request: pytest.FixtureRequest, pages: Callable[[str], Path]) -> Path:
    """The page of each study."""
    return pages(request.param)


@pytest.fixture
def one(pages: Callable[[str], Path]) -> Path:
    """The page of one study."""
    return pages("heads")


@pytest.fixture
def pictured(heads: Path, tmp_path: Path) -> Path:
    """A page with the same images by several variants."""
    numbers = analysis(question(collect([heads])), resamples=20)
    found = differing_images(numbers, 2, painted)
    path = tmp_path / "pictured.html"
    path.write_text(page("pictures", [], "", sections(numbers, found)))
    return path


def test_charts_are_drawn_and_the_console_is_silent(written: Path, opened: Opened) -> None:
    found = opened(
        written,
        """return [...document.querySelectorAll(".plot")].map(plot => [
             plot.querySelectorAll("svg path, svg text, svg rect").length,
             plot.querySelector("svg").getBoundingClientRect().height,
           ]);""",
    )
    assert len(found) == written.read_text().count('class="plot"') >= 6
    assert all(marks > 8 and height > 60 for marks, height in found)


def test_the_pointer_on_a_point_is_told_its_values(one: Path, opened: Opened) -> None:
    told = opened(
        one,
        """const marks = [...document.querySelectorAll(".plot svg .mark-symbol path")];
           const texts = [];
           for (const mark of marks.slice(0, 40)) {
             const { left, top, width, height } = mark.getBoundingClientRect();
             const at = { bubbles: true, clientX: left + width / 2, clientY: top + height / 2 };
             for (const kind of ["pointerover", "pointermove"]) mark.dispatchEvent(new PointerEvent(kind, at));
             await wait();
             const tip = document.querySelector("#vg-tooltip-element.visible");
             if (tip) texts.push(tip.innerText);
           }
           return texts;""",
    )
    assert told
    assert any("boundary" in text for text in told)


def test_pictures_are_there_and_a_click_enlarges_them(pictured: Path, opened: Opened) -> None:
    sizes, before, after, again = opened(
        pictured,
        """const all = [...document.querySelectorAll(".picture img")];
           await Promise.all(all.map(image => image.decode()));
           const width = () => all[0].getBoundingClientRect().width;
           const sizes = all.map(image => [image.naturalWidth, image.naturalHeight]);
           const before = width(); all[0].click(); const after = width(); all[0].click();
           return [sizes, before, after, width()];""",
    )
    assert len(sizes) == pictured.read_text().count('<div class="picture">') >= 6
    assert {round(3 * width / height, 1) for width, height in sizes} == {4.0}
    assert before == again < after


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_around(one: Path, opened: Opened) -> None:
    first, second, texts, sort = opened(
        one,
        """press("runs-table", 3); const first = column("runs-table", 3);
           press("runs-table", 3); const second = column("runs-table", 3);
           const sort = document.querySelector("#runs-table th[aria-sort]").getAttribute("aria-sort");
           press("runs-table", 0);
           return [first, second, column("runs-table", 0), sort];""",
    )
    numbers = [float(key) for key in first if key != DASH]
    assert len(numbers) >= 10
    assert numbers == sorted(numbers)
    assert [float(key) for key in second[: len(numbers)]] == sorted(numbers, reverse=True)
    assert set(second[len(numbers) :]) <= {DASH}
    assert sort == "descending"
    assert texts == sorted(texts, key=natural)


def natural(text: str) -> list[str | float]:
    """What texts are sorted by: the words and the numbers in them."""
    pieces = re.split(r"(\d+(?:\.\d+)?)", text.lower())
    return [float(piece) if i % 2 else piece for i, piece in enumerate(pieces)]


def test_a_filter_leaves_the_rows_with_all_its_words(one: Path, opened: Opened) -> None:
    few, every = opened(
        one,
        """const input = document.querySelector("input[data-table=runs-table]");
           const write = text => { input.value = text; input.dispatchEvent(new Event("input")); };
           write("FINISHED --out"); const few = column("runs-table", 2);
           write(""); return [few, column("runs-table", 2)];""",
    )
    assert few == [status for status in every if status == "finished"]
    assert few


def test_at_400_pixels_the_page_does_not_scroll_sideways(written: Path, opened: Opened) -> None:
    size = "const page = document.documentElement; return [innerWidth, page.clientWidth, page.scrollWidth];"
    width, visible, needed = opened(written, size, width=400)
    assert (width, needed) == (400, visible)
