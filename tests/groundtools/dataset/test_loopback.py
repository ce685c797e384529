"""A catalogue and its COGs over a loopback server that errs."""

import http.server
import json
import threading
from typing import ClassVar

import pytest

from groundtools import cli
from groundtools.dataset import store
from groundtools.imagery import stac
from groundtools.imagery.errors import EXIT_PARTIAL, EXIT_REMOTE


def build(recipe, out) -> int:
    return cli.main(["dataset", "build", str(recipe), "--out", str(out), "--workers", "1"])


@pytest.mark.verifies("DAT-009")
def test_a_server_that_errs_in_every_way_gives_the_bytes_of_a_calm_one(
    recipe, catalogue, serve, faults, tmp_path, files_of
):
    assert build(recipe(), tmp_path / "calm") == 0
    server = serve(catalogue.parent, faults(1, 0.2))
    assert build(recipe(f"{server.address}/catalog.json"), tmp_path / "out") == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "calm")
    for kind in (503, 429, "cut", "empty"):
        assert server.faults[kind] >= 3, f"{kind}: {server.faults}"


@pytest.mark.verifies("DAT-009")
def test_a_failure_is_not_remembered_once_the_server_is_well_again(
    recipe, catalogue, serve, tmp_path, files_of, monkeypatch
):
    # More errors on one file than GDAL tries: the next attempt must send requests again.
    monkeypatch.setitem(stac.HTTP, "GDAL_HTTP_MAX_RETRY", "1")
    ill = {"left": 6}

    def fault(number: int, path: str):
        if path.endswith("red.tif") and ill["left"]:
            ill["left"] -= 1
            return 503
        return None

    server = serve(catalogue.parent, fault)
    assert build(recipe(f"{server.address}/catalog.json"), tmp_path / "out") == 0
    assert server.faults[503] == 6
    assert build(recipe(), tmp_path / "calm") == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "calm")


@pytest.mark.verifies("DAT-007")
def test_a_file_that_never_comes_is_set_aside_and_made_once_it_does(
    recipe, catalogue, serve, tmp_path, files_of, monkeypatch
):
    monkeypatch.setitem(stac.HTTP, "GDAL_HTTP_MAX_RETRY", "1")
    ill = [True]
    server = serve(
        catalogue.parent, lambda n, path: 500 if ill[0] and "2019" in path and "tif" in path else None
    )
    out = tmp_path / "out"
    assert build(recipe(f"{server.address}/catalog.json"), out) == EXIT_PARTIAL
    aside = [r for r in store.read_manifest(out).values() if isinstance(r, store.Quarantined)]
    assert len(aside) == 2
    ill[0] = False
    assert cli.main(["dataset", "resume", str(out), "--workers", "1", "--retry-quarantined"]) == 0
    assert build(recipe(), tmp_path / "calm") == 0
    assert files_of(out) == files_of(tmp_path / "calm")


@pytest.mark.verifies("DAT-009")
def test_a_catalogue_that_does_not_answer_ends_in_one_line_and_code_six(recipe, serve, tmp_path, capsys):
    server = serve(tmp_path, lambda number, path: 503)
    assert build(recipe(f"{server.address}/catalog.json"), tmp_path / "out") == EXIT_REMOTE
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{server.address}/catalog.json: cannot be read" in line


class Api(http.server.BaseHTTPRequestHandler):
    """A STAC API over the items of a static catalogue: a landing page and POST /search."""

    items: ClassVar[list[dict]] = []
    asked: ClassVar[list[dict]] = []

    def log_message(self, *arguments) -> None:
        """Say nothing."""

    def _send(self, data: dict) -> None:
        content = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        root = f"http://127.0.0.1:{self.server.server_port}"
        conforms = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]
        links = [
            {"rel": "self", "href": root},
            {"rel": "root", "href": root},
            {"rel": "search", "href": f"{root}/search", "type": "application/geo+json", "method": "POST"},
        ]
        common = {"type": "Catalog", "id": "api", "description": "x", "stac_version": "1.0.0"}
        self._send({**common, "links": links, "conformsTo": conforms})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Api.asked.append(body)
        first, last = body["datetime"].split("/")
        west, south, east, north = body["bbox"]
        found = []
        for item in Api.items:
            w, s, e, n = item["bbox"]
            meets = w < east and west < e and s < north and south < n
            if meets and first <= item["properties"]["datetime"] <= last:
                found.append(item)
        self._send({"type": "FeatureCollection", "features": found, "links": []})


@pytest.mark.verifies("DAT-009")
def test_an_api_is_asked_month_by_month_and_repeats(recipe, catalogue, tmp_path, files_of, monkeypatch):
    import pystac

    items = pystac.Catalog.from_file(str(catalogue)).get_items(recursive=True)
    for item in items:
        item.make_asset_hrefs_absolute()
        Api.items.append(item.to_dict(transform_hrefs=False))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = recipe(f"http://127.0.0.1:{server.server_port}")
    path.write_text(path.read_text().replace("[stac]\n", "[stac]\napi = true\n"))
    try:
        for name in ("one", "two"):
            assert build(path, tmp_path / name) == 0
    finally:
        server.shutdown()
        server.server_close()
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    spans = {tuple(body["datetime"].split("/")) for body in Api.asked}
    assert all(first[:7] == last[:7] for first, last in spans)
    records = store.read_manifest(tmp_path / "one").values()
    assert all(len(record.days) >= 1 for record in records)
    assert {day[:4] for record in records if record.split == "validation" for day in record.days} == {"2019"}
