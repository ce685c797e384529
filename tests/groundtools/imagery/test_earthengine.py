"""The real Earth Engine client over a transport that answers from memory."""

import hashlib
import io
import json
import logging
import subprocess
import sys
import time
from pathlib import Path

import ee
import httplib2
import numpy as np
import pytest
from google.auth import credentials as auth
from google.auth.exceptions import RefreshError

from groundtools import cli
from groundtools.dataset import build as builder
from groundtools.dataset import sources, store
from groundtools.dataset.products import products
from groundtools.dataset.recipe import load_recipe, shipped_recipes
from groundtools.imagery import earthengine
from groundtools.imagery.errors import EXIT_PARTIAL, EXIT_REMOTE

FILES = Path(ee.__file__).parent / "tests"
RECIPES = {path.stem: path for path in shipped_recipes()}
PROJECT, ACCOUNT, TOKEN = "very-secret-project", "somebody@example.org", "ya29.very-secret-token"

RECIPE = """
name = "engine"
seed = 5
regions = ["33T"]
camera = {{ width_px = {width}, height_px = {height}, scale_m_px = 600.0 }}

[splits.train]
per_region = {count}
first_year = 2020
last_year = 2022

[earthengine]
collections = ["COPERNICUS/S2_HARMONIZED"]
bands = ["B4", "B3", "B2"]
high = 4000.0
requests_s = 1000.0
product = "{product}"
"""


class Secret(auth.AnonymousCredentials):
    """Credentials whose token must never be seen, and which may run out."""

    expired = False

    def before_request(self, request, method, url, headers) -> None:
        if self.expired:
            raise RefreshError(f"invalid_grant: Token {TOKEN} of {ACCOUNT} has been expired or revoked.")
        headers["authorization"] = f"Bearer {TOKEN}"


class Transport:
    """Answers like the server: pixels that are a function of the ground, faults as told.

    `fault(n, grid)` is asked at the n-th computePixels: None, (status, message), "cut".
    """

    def __init__(self, fault=lambda number, grid: None) -> None:
        self.fault, self.bodies, self.headers = fault, [], []
        self.pixel_requests = 0

    def request(self, uri, method="GET", body=None, headers=None, **rest):
        if "$discovery" in uri:
            return self._answer((FILES / "cloud_api_discovery_document.json").read_bytes())
        if uri.split("?")[0].endswith("/algorithms"):
            return self._answer((FILES / "algorithms.json").read_bytes())
        if ":computePixels" in uri:
            return self._pixels(json.loads(body), headers)
        if "value:compute" in uri:
            self.bodies.append(json.loads(body))
            rows = [[f"LANDSAT/X/{n}", f"2023-01-{n + 1:02d}", 14.0 + 0.1 * n, 43.0] for n in range(3)]
            return self._answer(json.dumps({"result": rows}).encode())
        raise AssertionError(f"an address nobody should ask: {uri}")

    def _pixels(self, body, headers):
        self.pixel_requests += 1
        self.bodies.append(body)
        self.headers.append(headers)
        fault = self.fault(self.pixel_requests, body["grid"])
        if isinstance(fault, tuple):
            error = {"error": {"code": fault[0], "message": fault[1], "status": "X"}}
            return self._answer(json.dumps(error).encode(), fault[0])
        content = ground_npy(body["grid"])
        return self._answer(content[: len(content) // 2] if fault == "cut" else content)

    @staticmethod
    def _answer(content: bytes, status: int = 200):
        return httplib2.Response({"status": str(status), "content-type": "application/json"}), content


def ground_npy(grid) -> bytes:
    """Return what the server computes: each pixel a function of where it is."""
    width, height = grid["dimensions"]["width"], grid["dimensions"]["height"]
    affine = grid["affineTransform"]
    x = affine["translateX"] + (np.arange(width) + 0.5) * affine["scaleX"]
    y = affine["translateY"] + (np.arange(height) + 0.5) * affine["scaleY"]
    value = (x[None] // 600 + 3 * (y[:, None] // 600)) % 254 + 1
    out = np.zeros((height, width), dtype=[(name, "u1") for name in ("B4", "B3", "B2")])
    for number, name in enumerate(out.dtype.names):
        out[name] = (value + number) % 254 + 1
    buffer = io.BytesIO()
    np.save(buffer, out)
    return buffer.getvalue()


@pytest.fixture
def engine(monkeypatch):
    """Return `start(fault)`: the client connected to a `Transport`; waits are recorded, not slept."""
    monkeypatch.setattr("ee.deprecation._FetchDataCatalogStac", dict)
    started = {}
    monkeypatch.setattr(time, "sleep", lambda s: started["waits"].append(s))
    real = earthengine.connect

    def start(fault=lambda number, grid: None, credentials=None):
        transport = Transport(fault)
        started["waits"] = transport.waits = []

        def connect() -> None:
            real(credentials=credentials or Secret(), transport=transport, project=PROJECT)

        monkeypatch.setattr(earthengine, "connect", connect)
        builder._opened.cache_clear()
        connect()
        return transport

    yield start
    builder._opened.cache_clear()
    ee.Reset()


@pytest.fixture
def recipe(tmp_path):
    """Return `write(...)`: the path of a recipe for Earth Engine."""

    def write(*, count=3, width=64, height=48, product="mosaic", extra="") -> Path:
        path = tmp_path / "engine.toml"
        path.write_text(RECIPE.format(count=count, width=width, height=height, product=product) + extra)
        return path

    return write


def build(recipe: Path, out: Path, *more: str) -> int:
    return cli.main(["dataset", "build", str(recipe), "--out", str(out), "--workers", "1", *more])


def images(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("images/*/*.tif"))}


@pytest.mark.verifies("DAT-011")
def test_a_build_asks_for_the_grid_and_gets_the_ground(engine, recipe, tmp_path):
    transport = engine()
    assert build(recipe(), tmp_path / "out") == 0
    assert transport.pixel_requests == 3
    for product in products(load_recipe(recipe())):
        entry = store.read_manifest(tmp_path / "out")[product.name]
        pixels = store.read_pixels(tmp_path / "out" / entry.file)
        rows = np.load(io.BytesIO(ground_npy(transport.bodies[product.number]["grid"])))
        assert np.array_equal(pixels[..., 0], rows["B4"])
        assert transport.bodies[product.number]["workloadTag"] == "vinsat-dataset"
        assert entry.days == ("2020-01-01/2022-12-31",)


@pytest.mark.verifies("DAT-011")
@pytest.mark.parametrize("message", ["User memory limit exceeded.", "Computation timed out."])
def test_a_request_too_large_for_the_server_is_cut_and_joined_without_a_seam(
    engine, recipe, tmp_path, message
):
    wide = recipe(count=1, width=700, height=500)
    engine()
    assert build(wide, tmp_path / "whole") == 0

    def fault(number, grid):
        too_large = grid["dimensions"]["width"] * grid["dimensions"]["height"] > 100_000
        return (400, message) if too_large else None

    transport = engine(fault)
    assert build(wide, tmp_path / "cut") == 0
    assert transport.pixel_requests == 1 + 2 + 4
    assert images(tmp_path / "cut") == images(tmp_path / "whole")


@pytest.mark.verifies("DAT-011")
def test_a_request_that_is_always_too_large_is_named_and_set_aside(engine, recipe, tmp_path):
    engine(lambda number, grid: (400, "User memory limit exceeded."))
    out = tmp_path / "out"
    assert build(recipe(count=1, width=300, height=200), out) == EXIT_PARTIAL
    (record,) = store.read_manifest(out).values()
    assert "User memory limit exceeded" in record.reason
    assert "even for" in record.reason


@pytest.mark.verifies("DAT-011")
@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_refusals_are_waited_out_by_the_client(engine, recipe, tmp_path, status):
    engine()
    assert build(recipe(), tmp_path / "calm") == 0
    transport = engine(lambda number, grid: (status, "Too Many Requests") if number in (1, 2, 4) else None)
    assert build(recipe(), tmp_path / "out") == 0
    assert transport.pixel_requests == 6
    assert any(wait > 0 for wait in transport.waits)
    assert images(tmp_path / "out") == images(tmp_path / "calm")


@pytest.mark.verifies("DAT-011")
def test_a_quota_that_stays_spent_stops_with_code_six_and_resumes(engine, recipe, tmp_path, capsys):
    out = tmp_path / "out"
    engine(lambda number, grid: (429, "Quota exceeded for this project.") if number > 1 else None)
    assert build(recipe(), out) == EXIT_REMOTE
    assert len(images(out)) == 1
    assert "Earth Engine refuses" in capsys.readouterr().err
    kept = images(out)
    transport = engine()
    assert cli.main(["dataset", "resume", str(out), "--workers", "1"]) == 0
    assert transport.pixel_requests == 2
    assert kept.items() <= images(out).items()


@pytest.mark.verifies("DAT-011")
def test_an_answer_cut_short_is_asked_for_again_and_named_when_it_stays_so(engine, recipe, tmp_path):
    engine()
    assert build(recipe(count=1), tmp_path / "calm") == 0
    engine(lambda number, grid: "cut" if number == 1 else None)
    assert build(recipe(count=1), tmp_path / "once") == 0
    assert images(tmp_path / "once") == images(tmp_path / "calm")
    engine(lambda number, grid: "cut")
    assert build(recipe(count=1), tmp_path / "always") == EXIT_PARTIAL
    (record,) = store.read_manifest(tmp_path / "always").values()
    assert "cut short 3 times" in record.reason


@pytest.mark.verifies("DAT-011")
def test_an_error_that_is_none_of_these_sets_one_picture_aside(engine, recipe, tmp_path):
    engine(
        lambda number, grid: (400, "Image.select: Band pattern 'B4' did not match.") if number == 2 else None
    )
    out = tmp_path / "out"
    assert build(recipe(), out) == EXIT_PARTIAL
    aside = [r for r in store.read_manifest(out).values() if isinstance(r, store.Quarantined)]
    assert len(aside) == 1
    assert "did not match" in aside[0].reason


@pytest.mark.verifies("DAT-012")
def test_no_account_key_or_project_reaches_a_file_a_log_or_a_message(
    engine, recipe, tmp_path, capsys, caplog
):
    caplog.set_level(logging.DEBUG)
    out = tmp_path / "out"
    credentials = Secret()
    words = f"Caller {ACCOUNT} lacks permission on project {PROJECT} with {TOKEN}"

    def fault(number, grid):
        return (403, words) if number == 2 else None

    transport = engine(fault, credentials)
    assert build(recipe(), out) == EXIT_REMOTE
    assert transport.headers[0]["authorization"] == f"Bearer {TOKEN}"  # it was really sent
    credentials.expired = True
    assert cli.main(["dataset", "resume", str(out), "--workers", "1"]) == EXIT_REMOTE
    said = capsys.readouterr()
    assert "lacks permission" in said.err
    assert "credentials are no longer valid" in said.err
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    ours = "".join(r.getMessage() for r in caplog.records if r.name.startswith(("groundtools", "vinsat")))
    for secret in (PROJECT, ACCOUNT, TOKEN):
        assert secret not in said.out + said.err + ours
        assert secret.encode() not in written


def test_nobody_signed_in_is_one_line_and_code_six(recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("ee.oauth.get_credentials_path", lambda: str(tmp_path / "none"))
    monkeypatch.setattr("google.auth.default", _no_default)
    builder._opened.cache_clear()
    assert build(recipe(), tmp_path / "out") == EXIT_REMOTE
    (line,) = capsys.readouterr().err.splitlines()
    assert "earthengine authenticate" in line


def _no_default(*arguments, **options):
    from google.auth.exceptions import DefaultCredentialsError

    raise DefaultCredentialsError("none")


@pytest.mark.verifies("DAT-013")
def test_the_budget_stops_the_build_cleanly_and_loses_nothing(engine, recipe, tmp_path, capsys):
    each_s = 4.0 * 64 * 48 / 1e6
    path = recipe(count=5, extra=f"budget_eecu_h = {2.5 * each_s / 3600:.12f}\n")
    transport = engine()
    out = tmp_path / "out"
    assert build(path, out) == EXIT_REMOTE
    assert "budget" in capsys.readouterr().err
    assert transport.pixel_requests == len(images(out)) == 2
    assert cli.main(["dataset", "resume", str(out), "--workers", "1"]) == EXIT_REMOTE
    assert transport.pixel_requests == 2  # still spent
    more = ["--budget-eecu-h", "1.0"]
    assert cli.main(["dataset", "resume", str(out), "--workers", "1", *more]) == 0
    assert transport.pixel_requests == len(images(out)) == 5


def test_scenes_are_listed_once_and_each_is_drawn_on_its_own_grid(engine, recipe, tmp_path):
    transport = engine()
    out = tmp_path / "out"
    assert build(recipe(count=4, product="scene"), out) == EXIT_PARTIAL
    records = list(store.read_manifest(out).values())
    entries = [record for record in records if isinstance(record, store.Entry)]
    assert [entry.scenes for entry in entries] == [(f"LANDSAT/X/{n}",) for n in range(3)]
    assert [entry.days for entry in entries] == [(f"2023-01-{n + 1:02d}",) for n in range(3)]
    assert "has 3 scenes there, 4 are asked for" in records[3].reason
    middle = entries[1].grid.lonlat_from_uv([[32.0, 24.0]])[0]
    assert middle == pytest.approx([14.1, 43.0], abs=0.01)  # deg, a pixel
    assert sum("expression" in body and "grid" not in body for body in transport.bodies) == 1


def graphs(name: str) -> str:
    """Return a hash of the request graphs of the first and last product of a recipe's splits."""
    recipe = load_recipe(RECIPES[name])
    chosen = {}
    for product in products(recipe):
        chosen.setdefault((product.split, product.region, product.collection, product.number == 0), product)
    options = sources.open_source(recipe)._options
    bounds = dict(options.regions)
    texts = []
    for product in chosen.values():
        if options.product == "mosaic":
            texts.append(earthengine.mosaic_image(product, options).serialize())
        else:
            texts.append(earthengine.scene_list(product, bounds[product.region], options).serialize())
            texts.append(earthengine.scene_image("LANDSAT/X/1", options).serialize())
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


GOLDEN = {
    "thesis-sentinel2": "f049ffe31c5f1de5d12806f1da987271fdf5bae0dea2ece5783ccadabe3b0cc9",
    "thesis-landsat-test": "29b3239bc872ed245e45ed5406a87698ab7ff5afa0c3129c8957c5904c56c1f6",
}


@pytest.mark.verifies("DAT-011")
@pytest.mark.parametrize("name", GOLDEN)
def test_the_request_graphs_of_the_source_texts_recipes_are_golden(engine, name):
    engine()
    assert graphs(name) == GOLDEN[name]


@pytest.mark.verifies("DAT-011")
def test_request_graphs_do_not_depend_on_the_hash_seed():
    code = (
        "import runpy, sys; from pathlib import Path\n"
        f"m = runpy.run_path({str(Path(__file__))!r}); import ee, ee.deprecation\n"
        "ee.deprecation._FetchDataCatalogStac = lambda: {}\n"
        "from groundtools.imagery import earthengine\n"
        "real = earthengine.connect\n"
        "new = {'credentials': m['Secret'](), 'transport': m['Transport'](), 'project': 'p'}\n"
        "earthengine.connect = lambda: real(**new)\n"
        "print(m['graphs']('thesis-landsat-test'))\n"
    )
    results = set()
    for seed in ("0", "4711"):
        environment = {"PYTHONHASHSEED": seed, "PATH": "", "HOME": "/nonexistent"}
        done = subprocess.run(
            [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        results.add(done.stdout.strip())
    assert results == {GOLDEN["thesis-landsat-test"]}
