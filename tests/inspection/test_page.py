"""The page as text: whole, escaped, loading nothing, with what its kind of data has."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import vl_convert

Pages = Callable[[str], Path]
KINDS = ["scenes", "both", "classes", "regions"]


class Elements(HTMLParser):
    """The elements of a page, the words of each cell, and what it would load."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self.specs: list[Any] = []
        self._kind = ""
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attributes)
        self.ids += [str(given["id"])] if "id" in given else []
        self.loaded += [str(value) for key, value in attributes if key in ("src", "href", "srcset") and value]
        self._kind = "spec" if given.get("type") == "application/json" else tag
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self._kind == "spec":
            self.specs.append(json.loads(data))
        elif self._kind not in ("script", "style"):
            self.words.append(data)
            if self.rows and self.rows[-1] and self._kind in ("th", "td", "b", "small", "button", "i"):
                self.rows[-1][-1] += f" {data.strip()}"

    def handle_endtag(self, tag: str) -> None:
        self._kind = "" if tag in ("script", "style", "table") else self._kind

    def row(self, first: str) -> list[str]:
        """The cells of the row whose first one begins with a text."""
        return next(
            [cell.strip() for cell in row] for row in self.rows if row and row[0].strip().startswith(first)
        )

    @property
    def text(self) -> str:
        """All that is read."""
        return " ".join(" ".join(self.words).replace("\N{NO-BREAK SPACE}", " ").split())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_whole_and_loads_nothing(kind: str, pages: Pages) -> None:
    found = Elements(pages(kind))
    assert all(address.startswith(("#", "data:")) for address in found.loaded)
    assert len(found.ids) == len(set(found.ids))
    targets = {address[1:] for address in found.loaded if address.startswith("#")}
    assert targets == {"data-set", "classes", "regions", "training-views", "configuration"}
    assert targets <= set(found.ids)
    assert found.tags.count("script") == 2 + len(found.specs)
    for spec in found.specs:
        assert all(layer.get("data", {"values": 1})["values"] for layer in spec.get("layer", []))
        drawn = vl_convert.vegalite_to_svg(spec)
        assert "NaN" not in re.sub(r"<text.*?</text>", "", drawn)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_of_two_epochs_and_of_what_is_labelled(kind: str, pages: Pages) -> None:
    found = Elements(pages(kind))
    regional = ["AffinityHead", "CenterOffsetHead", "DistanceHead", "EmbeddingHead", "TrinaryHead"]
    titles = ["image", "regions", "SemanticHead", "BoundaryHead", *regional]
    if kind == "regions":
        titles.remove("SemanticHead")
    if kind == "scenes":
        titles += ["DepthHead", "NormalsHead"]
    rows = re.findall(r"(\S+), epoch (\d) image", found.text)
    names = [name for name, _ in rows]
    assert [epoch for _, epoch in rows] == ["0", "1"] * 2
    assert names[0] == names[1] != names[2] == names[3]
    for title in titles:
        assert found.text.count(f" {title} ") >= 4
    assert found.tags.count("img") >= 4 * len(titles)
    assert "SceneHead" not in found.text


def test_a_class_that_is_missing_in_a_split_is_marked_and_names_are_escaped(pages: Pages) -> None:
    found = Elements(pages("both"))
    evil = "</script><b>&'"
    assert evil in found.text
    assert found.row("disk")[0] == "disk not in val"
    assert found.row("nowhere")[0] == "nowhere in no split"
    assert found.row("square")[0] == "square"
    assert "No pixel in val: disk and nowhere." in found.text
    assert "No pixel in train: nowhere." in found.text
    assert "7 classes: 4 of things, which can be counted, and 3 of stuff." in found.text
    assert 'class="swatch" style="background: #' in pages("both").read_text()


def test_numbers_of_the_page_are_those_of_the_json_file(pages: Pages) -> None:
    page = pages("both")
    found = Elements(page)
    known = json.loads(page.with_name("inspect.json").read_text())
    for place, split in enumerate(("train", "val"), 1):
        own = known["splits"][split]
        assert found.row("images")[place] == str(own["images"])
        square = found.row("square")
        share = own["classes"]["square"]["pixels"]
        assert float(square[1 + place].split()[0]) == pytest.approx(100 * share, abs=0.05)
        assert square[6 + place] == str(own["classes"]["square"]["instances"])
        assert found.row("regions")[place] == str(own["regions"]["regions"])
    assert float(found.row("square")[4]) == pytest.approx(known["balanced_weights"]["square"], rel=0.01)


def test_what_a_data_set_does_not_have_is_said(pages: Pages) -> None:
    assert "No pixel has a class: only regions can be learned." in Elements(pages("regions")).text
    assert "A region is a connected component of a class." in Elements(pages("classes")).text
    assert "are not counted: whatever is known of them before the end" in Elements(pages("scenes")).text


def test_a_limit_is_said(pages: Pages) -> None:
    found = Elements(pages("scenes"))
    assert found.row("images counted") == ["images counted", "4", "4"]
    assert found.row("images") == ["images", "6", "6"]
    assert "All figures are those of the images counted" in found.text
    assert "images counted" not in Elements(pages("both")).text


def test_every_kind_of_labels_has_its_rows(pages: Pages) -> None:
    found = Elements(pages("scenes"))
    for kind in ("semantic", "region", "depth", "normals"):
        assert len(found.row(f"pixels without {kind} label")) == 3
    assert found.row("pixels without region label")[1] == "0 %"
