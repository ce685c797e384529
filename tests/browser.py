"""A headless Chromium for tests of pages: screenshots, console messages, addresses asked for."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

ARGUMENTS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
WAIT_MS = 150_000  # a busy machine's software renderer is slow
# A software renderer's own remarks on reading pixels back for a screenshot.
NOT_OURS = ("GPU stall due to ReadPixels", "Automatic fallback to software WebGL")


@dataclass(frozen=True)
class Visit:
    """What a page did: its picture, complaints on its console, and every host it asked for.

    overflow_px : how far the page is wider than its window; ready : what was waited for came.
    """

    picture: Path
    console: list[str]
    hosts: set[str]
    overflow_px: int
    ready: bool


def visit(url: str, picture: Path, *, width: int, scheme: str = "light", wait_for: str = "true") -> Visit:
    """Open a page at a width in px, light or dark, and wait for an expression to be true (WAIT_MS)."""
    api = pytest.importorskip("playwright.sync_api")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("needs chromium")
    console: list[str] = []
    asked: set[str] = set()
    with api.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=found, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.on("console", lambda m: console.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: console.append(str(error)))
        page.on("request", lambda request: asked.add(request.url))
        page.goto(url)
        try:
            page.wait_for_function(wait_for, timeout=WAIT_MS)
            ready = True
        except api.TimeoutError:
            ready = False
        overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        page.screenshot(path=str(picture), timeout=WAIT_MS)
        browser.close()
    hosts = {one.split("/")[2] for one in asked if one.startswith(("http", "ws"))}
    ours = [line for line in console if not any(remark in line for remark in NOT_OURS)]
    return Visit(picture, ours, hosts, int(overflow), ready)
