"""Show a report to a browser: screenshots, console messages, requests.

    python benchmarks/screenshots.py run/report.html screenshots

Writes light.png, dark.png, phone.png, phone-dark.png, print.pdf and, where `pdftoppm` is
installed, print-1.png, …; ends with status 1 if the page wrote to the console, asked for
anything, or is wider than the screen. Needs `chromium` on the PATH.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--hide-scrollbars --remote-debugging-pipe"
)
SCREENS = {  # name: width in CSS pixels, scale, color scheme
    "light": (1280, 1, "light"),
    "dark": (1280, 1, "dark"),
    "phone": (390, 2, "light"),
    "phone-dark": (390, 2, "dark"),
}


class Browser:
    """A headless Chromium, spoken to over a pipe in its DevTools protocol."""

    def __init__(self, profile: str):
        read_commands, self._commands = os.pipe()
        self._answers, write_answers = os.pipe()
        command = f"exec chromium {FLAGS} --user-data-dir={profile} about:blank"
        self._process = subprocess.Popen(
            ["sh", "-c", f"{command} 3<&{read_commands} 4>&{write_answers}"],
            pass_fds=(read_commands, write_answers),
            stderr=subprocess.DEVNULL,
        )
        os.close(read_commands)
        os.close(write_answers)
        self._received, self._number, self._session = b"", 0, None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one command; events that arrive meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, event: str) -> None:
        """Read until this event has come."""
        while not any(known.get("method") == event for known in self.events):
            self.events.append(self._next())

    def close(self) -> None:
        """Ask it to leave, and wait until it has."""
        os.close(self._commands)
        self._process.wait(timeout=30)
        os.close(self._answers)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            more = os.read(self._answers, 1 << 20)
            if not more:
                raise RuntimeError("chromium has ended; run it by hand to see why")
            self._received += more
        message, self._received = self._received.split(b"\0", 1)
        return json.loads(message)


def shoot(report: Path, folder: Path) -> list[str]:
    """Write all pictures of the report; returns what is wrong with the page."""
    folder.mkdir(parents=True, exist_ok=True)
    wrong = []
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(profile)
        for domain in ("Page", "Runtime", "Log", "Network"):
            browser.call(f"{domain}.enable")
        for name, (width, scale, scheme) in SCREENS.items():
            browser.call(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=900,
                deviceScaleFactor=scale,
                mobile=width < 600,
            )
            scheme = [{"name": "prefers-color-scheme", "value": scheme}]
            browser.call("Emulation.setEmulatedMedia", media="", features=scheme)
            browser.events = [e for e in browser.events if "loadEvent" not in e["method"]]
            browser.call("Page.navigate", url=report.resolve().as_uri())
            browser.wait_for("Page.loadEventFired")
            size = browser.call("Page.getLayoutMetrics")["cssContentSize"]
            if size["width"] > width:
                wrong.append(f"{name}: {size['width']} pixels wide on a screen of {width}")
            picture = browser.call(
                "Page.captureScreenshot",
                captureBeyondViewport=True,
                clip={"x": 0, "y": 0, "scale": 1}
                | {k: size[k] for k in ("width", "height")},
            )
            (folder / f"{name}.png").write_bytes(base64.b64decode(picture["data"]))
        browser.call("Emulation.setEmulatedMedia", media="", features=[])
        pdf = browser.call(
            "Page.printToPDF",
            preferCSSPageSize=True,
            paperWidth=8.27,
            paperHeight=11.69,
            printBackground=False,
        )
        (folder / "print.pdf").write_bytes(base64.b64decode(pdf["data"]))
        browser.close()
    for event in browser.events:
        parameters = event.get("params", {})
        if event["method"] in ("Runtime.consoleAPICalled", "Log.entryAdded"):
            wrong.append(f"console: {json.dumps(parameters)}")
        if event["method"] == "Runtime.exceptionThrown":
            wrong.append(f"exception: {json.dumps(parameters)}")
        if event["method"] == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            if url != report.resolve().as_uri() and not url.startswith("data:"):
                wrong.append(f"request: {url}")
    return wrong


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    report, folder = Path(sys.argv[1]), Path(sys.argv[2])
    wrong = shoot(report, folder)
    for old in folder.glob("print-*.png"):
        old.unlink()
    if shutil.which("pdftoppm"):
        pages = ["pdftoppm", "-r", "80", "-png", folder / "print.pdf", folder / "print"]
        subprocess.run(pages, check=True)
    for line in wrong:
        print(line)
    print(f"{report}: {len(wrong)} console messages, requests or overflows; see {folder}/")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
