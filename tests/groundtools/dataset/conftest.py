"""A small world for data sets: a catalogue of COGs across two UTM zones, a recipe, a server that errs."""

import http.server
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from groundtools.imagery import embedded_stac, open_imagery, stac, stac_catalogues

AREAS = {"west": (11.2, 46.5, 11.8, 47.0), "east": (12.2, 46.5, 12.8, 47.0)}

RECIPE = """
name = "small"
seed = 3
regions = ["west", "east"]

[areas]
west = [11.2, 46.5, 11.8, 47.0]
east = [12.2, 46.5, 12.8, 47.0]

[camera]
width_px = 96
height_px = 64
scale_m_px = 600.0

[clouds]
policy = "{policy}"

[splits.train]
per_region = {train}
first_year = 2021
last_year = 2022

[splits.validation]
per_region = 1
first_year = 2019
last_year = 2019

[stac]
catalog = "{catalog}"
collections = ["embedded-l2a"]
bands = ["red", "green", "blue"]
high = 10000.0
mask_band = "scl"
resampling = "bilinear"
credit = "NASA Earth Observatory"
licence = "public domain"
"""


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory) -> Path:
    """Return a catalogue's file: scenes of 72 km in zones 32 and 33, four dates."""
    folder = tmp_path_factory.mktemp("catalogue")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded_stac, "SCENE_PX", 120)
        patch.setattr(embedded_stac, "MARGIN_M", 36e3)
        return embedded_stac.make_catalogue(folder, tuple(AREAS.items()), open_imagery("embedded"))


@pytest.fixture(scope="session")
def recipe_text() -> str:
    """Return the recipe with {catalog}, {train} and {policy} to be filled in."""
    return RECIPE


@pytest.fixture
def recipe(tmp_path, catalogue):
    """Return `write(catalog=..., train=2, policy="keep")`: the path of a recipe."""

    def write(catalog: object = catalogue, train: int = 2, policy: str = "keep", extra: str = "") -> Path:
        path = tmp_path / "small.toml"
        text = RECIPE.format(catalog=catalog, train=train, policy=policy)
        path.write_text(text + extra, encoding="utf-8")
        return path

    return write


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder by its name, the recipe left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "recipe.toml"
    }


@pytest.fixture
def files_of():
    """Return the function `contents`."""
    return contents


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder on loopback, ranges included; `fault(n, path)` names what goes wrong.

    Faults: a status code, "cut" (half of the body, then the connection closes), "empty"
    (it closes without an answer), or None.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, root: Path, fault) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.fault = root, fault
        self.requests, self.faults = 0, Counter()
        self.lock = threading.Lock()

    def handle_error(self, request, client_address) -> None:
        """Say nothing of connections that a client closed."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.requests += 1
            fault = server.fault(server.requests, self.path)
            server.faults[fault] += 1
        path = server.root / self.path.lstrip("/")
        if fault == "empty":
            self.close_connection = True
        elif isinstance(fault, int) or not path.is_file():
            self.send_response(fault if isinstance(fault, int) else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(path.read_bytes(), cut=fault == "cut")

    def _send(self, content: bytes, *, cut: bool) -> None:
        body, asked = content, self.headers.get("Range")
        if asked:
            first, _, last = asked.partition("=")[2].partition("-")
            end = min(int(last or len(content)), len(content) - 1)
            body = content[int(first) : end + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{end}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or cut


@pytest.fixture
def serve(monkeypatch):
    """Return `start(root, fault)`: a running `Server`. Waits between attempts are made short."""
    from urllib3 import Retry

    monkeypatch.setitem(stac.HTTP, "GDAL_HTTP_RETRY_DELAY", "0.01")
    monkeypatch.setattr(stac, "PAUSE_S", 0.001)
    codes = [429, 500, 502, 503, 504]
    retry = Retry(total=8, backoff_factor=0.0, status_forcelist=codes)
    monkeypatch.setattr(stac_catalogues, "_retry", lambda: retry)
    running = []

    def start(root: Path, fault=lambda number, path: None) -> Server:
        server = Server(root, fault)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def random_faults(seed: int, share: float):
    """Return a fault function: each request goes wrong with probability `share`, in a random way."""
    rng = np.random.default_rng(seed)
    kinds = [503, 429, "cut", "empty"]

    def fault(number: int, path: str):
        return kinds[rng.integers(len(kinds))] if rng.random() < share else None

    return fault


@pytest.fixture
def faults():
    """Return the function `random_faults`."""
    return random_faults
