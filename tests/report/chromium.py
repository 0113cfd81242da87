"""A headless Chromium to try pages in, spoken to over its debugging pipe: nothing to install but the browser.

It is looked for under the name that FLEXEVAL_CHROMIUM gives, then under its usual names on PATH.
"""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)
PATIENCE = 60.0
"""Seconds to wait for an answer: a slow machine that does other things besides."""

KEYS = {
    " ": ("Space", 32),
    "ArrowLeft": ("ArrowLeft", 37),
    "ArrowUp": ("ArrowUp", 38),
    "ArrowRight": ("ArrowRight", 39),
    "ArrowDown": ("ArrowDown", 40),
    "Home": ("Home", 36),
    "End": ("End", 35),
    "Tab": ("Tab", 9),
    "n": ("KeyN", 78),
    "p": ("KeyP", 80),
}


def find_chromium() -> str | None:
    """The browser's path, or None."""
    return next(filter(None, map(shutil.which, [os.environ.get("FLEXEVAL_CHROMIUM", ""), *NAMES])), None)


class Browser:
    """One browser with one page; everything that it complains about or asks the network for is kept."""

    def __init__(self, program: str, profile: Path) -> None:
        for_browser, ours = os.pipe()
        self._read, from_browser = os.pipe()
        self._write = ours
        # The browser reads from 3 and writes to 4; high copies keep dup2 from treading on either.
        inherited = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (for_browser, from_browser)]

        def place() -> None:
            os.dup2(inherited[0], 3)
            os.dup2(inherited[1], 4)

        self._process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=place,
        )
        for end in (for_browser, from_browser, *inherited):
            os.close(end)
        self._numbers = itertools.count(1)
        self._rest = b""
        self._session: str | None = None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        pages = self.call("Target.getTargets")["targetInfos"]
        target = next(page["targetId"] for page in pages if page["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """End the browser."""
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)

    def open(
        self, path: Path, *, width: int = 1200, height: int = 900, dark: bool = False, still: bool = True, at: str = ""
    ) -> None:
        """Load a page and wait until it is there; what earlier pages did is forgotten.

        `still`: as for a reader who wants no motion, so that nothing plays by itself. `at`: the address's hash.
        """
        self.complaints.clear()
        self.requests.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
        ]
        self.call("Emulation.setEmulatedMedia", features=features)
        self._loaded = False
        self.call("Page.navigate", url="about:blank")  # a new hash alone would load nothing
        self.wait(lambda: self._loaded)
        self.complaints.clear()
        self.requests.clear()
        self._loaded = False
        self.call("Page.navigate", url=path.as_uri() + at)
        self.wait(lambda: self._loaded)

    def value(self, expression: str):
        """What an expression of JavaScript is in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """A key, as if typed."""
        code, number = KEYS[key]
        typed = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        if key == " ":
            typed["text"] = " "
        self.call("Input.dispatchKeyEvent", type="keyDown", **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **typed)

    def click(self, selector: str) -> None:
        """The middle of the first element of a selector, scrolled into view."""
        x, y = self._middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def hover(self, selector: str) -> None:
        """Put the pointer on the middle of the first element of a selector."""
        x, y = self._middle(selector)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def choose(self, selector: str, value: str) -> None:
        """An entry of a select."""
        self.value(
            f"{{const select = document.querySelector({json.dumps(selector)}); select.value = {json.dumps(value)};"
            "select.dispatchEvent(new Event('change', {bubbles: true}));}"
        )

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """What the page looks like."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def wait(self, condition, seconds: float = PATIENCE) -> None:
        """Until a condition holds; events are taken in meanwhile."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError("the browser did not get there")
            self._take(0.05)

    def call(self, method: str, **params):
        """One command of the protocol, and its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for answer in self._take(1.0):
                if answer.get("id") == number:
                    if "error" in answer:
                        raise RuntimeError(f"{method}: {answer['error']}")
                    return answer["result"]
        raise TimeoutError(f"no answer to {method}")

    def _middle(self, selector: str) -> tuple[float, float]:
        scroll = "e.scrollIntoView({block: 'center', behavior: 'instant'})"
        box = self.value(
            f"(() => {{const e = document.querySelector({json.dumps(selector)}); {scroll};"
            "const b = e.getClientRects()[0]; return [b.x + b.width / 2, b.y + b.height / 2];})()"
        )
        return box[0], box[1]

    def _take(self, seconds: float) -> list[dict]:
        """The messages that come within some seconds; events are noted."""
        ready, _, _ = select.select([self._read], [], [], seconds)
        if ready:
            chunk = os.read(self._read, 1 << 20)
            if not chunk:
                raise RuntimeError("the browser ended")
            self._rest += chunk
        *whole, self._rest = self._rest.split(b"\0")
        messages = [json.loads(part) for part in whole]
        for message in messages:
            self._note(message.get("method", ""), message.get("params", {}))
        return messages

    def _note(self, method: str, params: dict) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            if not params["request"]["url"].startswith("data:"):
                self.requests.append(params["request"]["url"])
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(f"console.{params['type']}: {params['args']}")
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(f"exception: {params['exceptionDetails']}")
        elif method == "Log.entryAdded":
            self.complaints.append(f"{params['entry']['level']}: {params['entry']['text']}")
