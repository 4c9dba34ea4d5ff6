"""The page in headless Chromium: an image is dropped, sliders decode it again, a class and a pixel are explained.

This needs the extra `demo`. Its gradio wants an older pillow than the rest is tested with, so that it is no part of `test`,
and these tests skip without it.
"""

import gc
import importlib.util
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fusionseg import Predictor
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.demo.server import serve
from fusionseg.demo.session import Session

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("default"),  # of gradio and what it is made of
]

TITLES = ["semantic", "regions", "fused", "confidence", "boundaries"]
PICTURES = """[...document.querySelectorAll('.grid-container button')].map(
  item => [item.innerText.trim(), item.querySelector('img').src])"""
HEAT = """[...document.querySelectorAll('label')].map(one => one.innerText.trim())
  .find(one => one.startsWith('where the network looks for'))"""
MOVE = """(() => {
  const input = document.querySelector('[aria-label="number input for %s"]');
  input.value = %s;
  input.dispatchEvent(new Event('input', {bubbles: true}));
  input.dispatchEvent(new Event('blur'));
})()"""
PHOTO = """(() => {
  const image = document.querySelector('.image-container img');
  const box = image.getBoundingClientRect();
  const scale = Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight);
  return [box.x + box.width / 2, box.y + box.height / 2, scale];
})()"""
"""The middle of the image in the window, and the pixels of the window that one of its own takes."""
POLICY = "fetch('/').then(answer => answer.headers.get('content-security-policy'))"


def browser_class() -> Any:
    """The driver, from the file beside this one."""
    spec = importlib.util.spec_from_file_location("browser", Path(__file__).with_name("browser.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Browser


@pytest.fixture
def page(trained: Path, tmp_path: Path) -> Iterator[Any]:
    """The page of a model in a browser."""
    pytest.importorskip("gradio", reason='the page needs gradio: pip install "fusionseg[demo]"')
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no Chromium on the path: apt-get install -y chromium")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = serve(Session(Predictor(trained)), port, wait=False)
    browser = browser_class()(chromium, tmp_path / "profile")
    browser.ask("Page.navigate", url=f"http://127.0.0.1:{port}/")
    browser.wait("document.querySelector('input[type=file]') !== null")
    yield browser
    browser.close()
    server.close()
    gc.collect()  # so that what gradio leaves open is warned of here


def pictures(page: Any, before: dict[str, str]) -> dict[str, str]:
    """The addresses of the pictures by title, as soon as there are others than before."""
    end = time.monotonic() + 120
    while True:
        found = dict(page.value(PICTURES))
        if len(found) == len(TITLES) and found != before:
            return found
        assert time.monotonic() < end, (found, page.messages)
        time.sleep(0.1)


def test_the_page_answers_decodes_and_explains(page: Any, tmp_path: Path) -> None:
    image = tmp_path / "scene.png"
    Image.fromarray(SyntheticScenes("test", 1, (120, 160)).read(0).image).save(image)
    page.upload("input[type=file]", image)
    first = pictures(page, {})
    assert list(first) == TITLES

    page.value(MOVE % ("region: min area", 4000))
    second = pictures(page, first)
    assert second["regions"] != first["regions"]
    assert second["semantic"] == first["semantic"]  # gradio names files by their content

    middle, center, scale = page.value(PHOTO)
    page.click(middle - 40 * scale, center)
    found = re.search(r" at pixel \((\d+), (\d+)\)", page.wait(HEAT))
    assert found
    assert abs(int(found[1]) - 60) <= 2
    assert abs(int(found[2]) - 40) <= 2

    page.screenshot(tmp_path / "page.png")
    assert page.value(POLICY).startswith("default-src 'self'")
    own = ("http://127.0.0.1:", "data:", "blob:", "about:")
    assert [address for address in page.requested if not address.startswith(own)] == []
    assert page.messages == []
