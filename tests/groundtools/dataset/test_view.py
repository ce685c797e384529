import http.server
import re
import shutil
import subprocess
import threading
from html.parser import HTMLParser

import pytest

from groundtools import cli

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Links(HTMLParser):
    """Collects everything a page might load."""

    def __init__(self) -> None:
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes) -> None:
        self.found += [
            value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")
        ]
        assert tag not in ("script", "link", "iframe", "object", "embed")


@pytest.fixture(scope="module")
def page(catalogue, recipe_text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("view")
    recipe = folder / "small.toml"
    recipe.write_text(recipe_text.format(catalog=catalogue, train=3, policy="keep"))
    assert cli.main(["dataset", "build", str(recipe), "--out", str(folder / "set"), "--workers", "1"]) == 0
    assert cli.main(["dataset", "view", str(folder / "set")]) == 0
    return folder / "set" / "view.html"


@pytest.mark.verifies("DAT-018")
def test_the_page_holds_everything_and_loads_nothing(page):
    text = page.read_text(encoding="utf-8")
    links = Links()
    links.feed(text)
    assert len(links.found) == 8
    assert all(link.startswith("data:image/jpeg;base64,") for link in links.found)
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|https?://", text)
    assert text.count("<polygon") == 8
    assert "NASA Earth Observatory" in text


@pytest.mark.verifies("DAT-018")
@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs a chromium browser")
def test_the_page_opens_in_a_browser_without_an_outside_request(page, tmp_path):
    asked = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(502)

        do_CONNECT = do_POST = do_GET

        def log_message(self, *arguments) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", "--no-first-run", f"--user-data-dir={tmp_path}"]
    flags += [f"--proxy-server=127.0.0.1:{server.server_port}", "--virtual-time-budget=2000"]
    command = [CHROMIUM, *flags, "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    server.shutdown()
    server.server_close()
    assert "8 pictures of 96 x 64 px" in done.stdout
    ours = [path for path in asked if "google" not in path]  # the browser's own errands are not the page's
    assert ours == []
