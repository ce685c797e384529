"""A catalogue and its COGs over a loopback server that errs."""

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
    ill = {"left": 4}

    def fault(number: int, path: str):
        if path.endswith("red.tif") and ill["left"]:
            ill["left"] -= 1
            return 503
        return None

    server = serve(catalogue.parent, fault)
    assert build(recipe(f"{server.address}/catalog.json"), tmp_path / "out") == 0
    assert server.faults[503] == 4
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
