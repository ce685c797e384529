"""A headless Chromium for tests of pages: screenshots, console messages, hosts asked for."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

LIGHT, DARK = "light", "dark"


@dataclass(frozen=True)
class Visit:
    """What a page did: its picture, its console lines, and every host it asked for."""

    picture: Path
    console: list[str]
    hosts: set[str]


def browser() -> str:
    """Return the browser's path, or skip."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("needs chromium")
    return found


def visit(url: str, folder: Path, *, width: int, scheme: str = LIGHT, wait_ms: int = 3000) -> Visit:
    """Open a page at a width in px in the light or dark scheme and return what it did."""
    picture, log = folder / f"{width}-{scheme}.png", folder / f"net-{width}-{scheme}.json"
    command = [
        browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--use-gl=angle",
        "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--hide-scrollbars",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--no-first-run", "--disable-extensions", "--enable-logging=stderr",
        f"--blink-settings=preferredColorScheme={0 if scheme == DARK else 1}",
        f"--user-data-dir={folder / f'profile-{width}-{scheme}'}", f"--window-size={width},900",
        f"--virtual-time-budget={wait_ms}", f"--log-net-log={log}", f"--screenshot={picture}", url,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    assert picture.exists(), done.stderr[-2000:]
    return Visit(picture, console, _hosts(log))


def _hosts(log: Path) -> set[str]:
    """Return the hosts of the requests of pages in a net log; those of the browser itself left out."""
    text = log.read_text(encoding="utf-8", errors="replace").rstrip().rstrip(",")
    try:
        events = json.loads(text)["events"]
    except json.JSONDecodeError:  # cut off at the end of the process
        events = json.loads(text + "]}")["events"]
    urls = {
        (event.get("params") or {}).get("url", "")
        for event in events
        if (event.get("params") or {}).get("initiator", "").startswith(("http", "file", "null"))
    }
    return {url.split("/")[2] for url in urls if url.startswith(("http://", "https://", "ws"))}
