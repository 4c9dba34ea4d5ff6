"""Serves the page, from which nothing outside of this machine is asked."""

import os
import socket
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fusionseg.config.errors import UsageError

if TYPE_CHECKING:  # importing torch and gradio takes seconds
    from fusionseg.demo.session import Session

HOST = "127.0.0.1"

POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
"""What a browser may load: the page's own files, and nothing of other servers."""


def gradio_installed() -> None:
    """Checks that there is gradio.

    Raises:
        UsageError: If there is none.
    """
    if find_spec("gradio") is None:
        raise UsageError('the page needs gradio: pip install "fusionseg[demo]"')


def check_port(port: int) -> None:
    """Checks that a port is free.

    Raises:
        UsageError: If it is not.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UsageError(
                f"expected a free port, found {port}: {error.strerror}; choose another with --port", "port"
            ) from error


def serve(session: "Session", port: int, share: bool = False, wait: bool = True) -> Any:
    """Serves the page.

    Args:
        session: What the page asks.
        port: The port.
        share: Whether gradio's own server also serves it to everybody who has the link.
        wait: Whether until Ctrl-C; else until the page is closed.

    Returns:
        The page, with `close`.
    """
    # before the import: nothing is reported to gradio or Hugging Face
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import gradio as gr
    from starlette.middleware import Middleware

    from fusionseg.demo.page import CSS, page

    blocks = page(session)
    blocks.launch(
        server_name=HOST,
        server_port=port,
        share=share,
        prevent_thread_lock=not wait,
        ssr_mode=False,
        mcp_server=False,
        footer_links=[],
        css=CSS,
        # fonts that machines have, instead of those of a server
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        app_kwargs={"middleware": [Middleware(_Policy)]},
    )
    return blocks


class _Policy:
    """Adds the policy to all answers of an ASGI application.

    Args:
        app: The application.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", POLICY.encode())
                message = {**message, "headers": [*message.get("headers", []), policy]}
            await send(message)

        await self.app(scope, receive, sent)
