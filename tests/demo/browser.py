"""Headless Chromium, driven through pipes by the DevTools protocol."""

import base64
import itertools
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any


class Browser:
    """One tab.

    Args:
        chromium: The program.
        profile: A folder for its profile.
        width: Of the window in pixels.
        height: Of the window in pixels.

    Attributes:
        requested: All addresses that the page asked for.
        messages: Errors on the console, and failures to load.
    """

    def __init__(self, chromium: str, profile: Path, width: int = 1400, height: int = 1700) -> None:
        self.requested: list[str] = []
        self.messages: list[str] = []
        self._numbers = itertools.count(1)
        reading, self._out = os.pipe()
        self._in, writing = os.pipe()
        flags = [
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}"),
            *("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-pipe"),
            f"--window-size={width},{height}",
        ]

        # Chromium reads from 3 and writes to 4
        script = f'exec "$0" "$@" 3<&{reading} 4>&{writing}'
        command = ["bash", "-c", script, chromium, *flags, "about:blank"]
        self._process = subprocess.Popen(command, pass_fds=(reading, writing), stderr=subprocess.DEVNULL)
        for end in (reading, writing):
            os.close(end)
        self._left = b""
        targets = self._asked("Target.getTargets", None)["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        attached = self._asked("Target.attachToTarget", None, targetId=target, flatten=True)
        self._session: str = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "DOM", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **arguments: Any) -> Any:
        """The result of a method of the protocol."""
        return self._asked(method, self._session, **arguments)

    def value(self, script: str) -> Any:
        """What an expression in the page comes to."""
        found = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 120) -> Any:
        """What an expression in the page comes to, as soon as it holds."""
        end = time.monotonic() + seconds
        while not (found := self.value(script)):
            assert time.monotonic() < end, (script, self.value("document.body.innerText"), self.messages)
            time.sleep(0.1)
        return found

    def upload(self, selector: str, path: Path) -> None:
        """Gives a file to an input element."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def click(self, x: float, y: float) -> None:
        """Clicks at a point of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path: Path) -> None:
        """Writes what the window shows as PNG."""
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        """Ends Chromium."""
        self._process.terminate()
        self._process.wait(30)
        for end in (self._in, self._out):
            os.close(end)

    def _asked(self, method: str, session: str | None, **arguments: Any) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": arguments}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (found := self._message()).get("id") != number:
            self._note(found)
        assert "error" not in found, (method, found)
        return found["result"]

    def _message(self) -> Any:
        while b"\0" not in self._left:
            read = os.read(self._in, 1 << 20)
            assert read, "Chromium ended"
            self._left += read
        first, self._left = self._left.split(b"\0", 1)
        return json.loads(first)

    def _note(self, event: Any) -> None:
        content = event.get("params", {})
        if event["method"] == "Network.requestWillBeSent":
            self.requested.append(content["request"]["url"])
        if event["method"] == "Log.entryAdded" and content["entry"]["level"] == "error":
            self.messages.append(f"{content['entry']['text']} {content['entry'].get('url', '')}")
        if event["method"] == "Runtime.exceptionThrown":
            self.messages.append(str(content["exceptionDetails"]))
