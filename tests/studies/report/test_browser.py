"""The page in headless Chromium: no message on the console, tables that sort and filter, charts that are drawn."""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fusionseg.commands import report
from fusionseg.studies.report.numbers import DASH

pytestmark = pytest.mark.browser

Opened = Callable[..., Any]


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
