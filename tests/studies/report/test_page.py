"""The page as text: whole, escaped, loading nothing."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import vl_convert

from fusionseg.pages.blocks import Cell, Chart, Column, Section, Table, Words
from fusionseg.pages.page import page, script_json
from fusionseg.studies.report.analysis import analysis
from fusionseg.studies.report.build import sections
from fusionseg.studies.report.question import question
from fusionseg.studies.results import collect

EVIL = '</script><b onclick="x">&\'"'


class Elements(HTMLParser):
    """The elements of a page, its text outside of scripts, and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.scripts: dict[str, str] = {}
        self._script: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attributes)
        self.ids += [str(given["id"])] if "id" in given else []
        self._script = given.get("id") or "" if tag == "script" else None
        self.loaded += [str(value) for key, value in attributes if key in ("src", "href", "srcset") and value]

    def handle_data(self, data: str) -> None:
        if self._script is None:
            self.words.append(data)
        elif self._script:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._script = None


@pytest.fixture(scope="module")
def evil() -> Elements:
    table = Table(
        "numbers",
        EVIL,
        [Column(EVIL, hint=EVIL)],
        [[Cell(EVIL, detail=EVIL, hint=EVIL)]],
        [{EVIL: EVIL}],
        [EVIL],
    )
    chart = Chart("plot", EVIL, {"data": {"values": [{"name": EVIL}]}})
    return Elements(page(EVIL, [EVIL], EVIL, [Section(EVIL, [Words([EVIL]), table, chart])]))


def test_nothing_that_a_study_names_becomes_an_element(evil: Elements) -> None:
    captions = 2
    assert evil.tags.count("b") == captions
    assert evil.tags.count("script") == 3
    shown = [word for word in evil.words if EVIL in word]
    assert len(shown) >= 9


def test_no_two_elements_have_one_id(heads: Path) -> None:
    made = sections(analysis(question(collect([heads])), resamples=5))
    elements = Elements(page("heads", [], "", made))
    assert len(elements.ids) > 30
    assert len(elements.ids) == len(set(elements.ids))
    targets = {address[1:] for address in elements.loaded if address.startswith("#")}
    assert targets <= set(elements.ids)


def test_data_of_charts_arrive_as_they_are(evil: Elements) -> None:
    assert json.loads(evil.scripts["plot-spec"])["data"]["values"] == [{"name": EVIL}]


def test_the_page_loads_nothing(evil: Elements) -> None:
    assert all(address.startswith(("#", "data:")) for address in evil.loaded)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["heads", "alpha_beta", "joint_vs_single", "begun"])
def test_every_chart_is_what_vega_lite_understands(name: str, request: pytest.FixtureRequest) -> None:
    made = sections(analysis(question(collect([request.getfixturevalue(name)])), resamples=20))
    charts = [block for section in made for block in section.blocks if isinstance(block, Chart)]
    assert len(charts) >= 6
    names = [block.name for block in charts]
    assert len(names) == len(set(names))
    for chart in charts:
        spec = json.loads(script_json(chart.spec))
        assert all(layer.get("data", {"values": 1})["values"] for layer in spec.get("layer", [])), chart.name
        drawn = vl_convert.vegalite_to_svg(spec)
        assert "NaN" not in re.sub(r"<text.*?</text>", "", drawn), chart.name
