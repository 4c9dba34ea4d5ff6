"""The page in headless Chromium: no message on the console, charts and pictures that load, rows that enlarge."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Opened = Callable[..., Any]
Pages = Callable[[str], Path]
every_kind = pytest.mark.parametrize("kind", ["scenes", "both", "classes", "regions"])

pytestmark = pytest.mark.browser


@every_kind
def test_charts_and_pictures_load_and_the_console_is_silent(kind: str, pages: Pages, opened: Opened) -> None:
    page = pages(kind)
    charts, pictures = opened(
        page,
        """return [
             [...document.querySelectorAll(".plot")].map(
               plot => plot.querySelector("svg").querySelectorAll("path, text").length),
             [...document.images].map(image => [image.complete, image.naturalWidth, image.naturalHeight]),
           ];""",
    )
    assert len(charts) == page.read_text().count('class="plot"') == (2 if kind == "regions" else 3)
    assert all(marks > 8 for marks in charts)
    assert len(pictures) >= 4 * 8
    assert all(picture == [True, 64, 64] for picture in pictures)


@every_kind
def test_at_400_pixels_the_page_does_not_scroll_sideways(kind: str, pages: Pages, opened: Opened) -> None:
    size = "const page = document.documentElement; return [innerWidth, page.clientWidth, page.scrollWidth];"
    width, visible, needed = opened(pages(kind), size, width=400)
    assert (width, needed) == (400, visible)


def test_a_click_on_a_picture_enlarges_its_row_and_a_second_one_shrinks_it(
    pages: Pages, opened: Opened
) -> None:
    before, after, other, again = opened(
        pages("both"),
        """const [first, second] = document.querySelectorAll(".pictures");
           const image = first.querySelector("img"), width = row => row.querySelector("img").clientWidth;
           const before = width(first); image.click();
           const after = width(first), other = width(second); image.click();
           return [before, after, other, width(first)];""",
    )
    assert after > 1.5 * before
    assert other == again == before


def test_classes_sort_by_their_shares(pages: Pages, opened: Opened) -> None:
    shares = opened(pages("both"), """press("classes-table", 2); return column("classes-table", 2);""")
    numbers = [float(share) for share in shares]
    assert numbers == sorted(numbers)
    assert numbers[0] == 0 < numbers[-1]
