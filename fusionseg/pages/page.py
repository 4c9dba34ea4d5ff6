"""The HTML page of a report: one file that loads nothing from anywhere."""

import functools
import json
from collections.abc import Sequence
from importlib.resources import files

from fusionseg.config.errors import UsageError
from fusionseg.files.atomic import Json, finite
from fusionseg.pages.blocks import Section

INSTALL = 'pip install "fusionseg[study]"'


def page(title: str, lead: Sequence[str], facts: str, sections: Sequence[Section]) -> str:
    """The page as HTML.

    Args:
        title: Its heading.
        lead: Paragraphs below the heading.
        facts: A line about the study.
        sections: What follows.

    Raises:
        UsageError: If a package is missing that it takes.
    """
    try:
        from jinja2 import Environment
        from markupsafe import Markup
    except ImportError as error:
        raise UsageError(f"a page needs jinja2: {INSTALL}") from error

    environment = Environment(autoescape=True, trim_blocks=True)
    environment.filters["prose"] = lambda text: text.replace(" %", "\N{NO-BREAK SPACE}%")
    environment.filters["script_json"] = lambda value: Markup(script_json(value))
    template = environment.from_string(_asset("page.html"))
    return template.render(
        title=title,
        lead=lead,
        facts=facts,
        sections=sections,
        style=_asset("page.css"),
        script=_asset("page.js"),
        license=_asset("vega-license.txt"),
        library=vega(),
    )


def script_json(value: Json) -> str:
    """JSON that may stand in a script element: no text in it can end the element or begin a comment.

    >>> script_json({"name": "</script>"})
    '{"name":"\\\\u003c/script\\\\u003e"}'
    """
    text = json.dumps(finite(value), separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@functools.cache
def vega() -> str:
    """Vega, Vega-Lite and Vega-Embed (BSD-3-Clause) in one script, which sets `vegaEmbed`.

    Raises:
        UsageError: If the package is missing that contains them.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise UsageError(f"a page needs vl-convert-python for its charts: {INSTALL}") from error
    # its stub does not know that the argument has a default
    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    return bundle.replace("</script", "<\\/script")


def _asset(name: str) -> str:
    return (files("fusionseg.pages") / "assets" / name).read_text(encoding="utf-8")
