import json

import pytest

from groundtools import cli
from groundtools.dataset.plan import plan
from groundtools.dataset.recipe import load_recipe, shipped_recipes

RECIPES = {path.stem: path for path in shipped_recipes()}


def test_the_shipped_recipes_are_the_promised_ones():
    assert set(RECIPES) == {
        "embedded",
        "thesis-sentinel2",
        "thesis-landsat-test",
        "blue-marble",
        "sentinel2-stac",
    }


@pytest.mark.verifies("DAT-003")
@pytest.mark.parametrize("name", RECIPES)
def test_every_shipped_recipe_can_be_planned(name, capsys):
    assert cli.main(["dataset", "plan", str(RECIPES[name]), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["count"] == sum(printed["products"].values()) > 0
    assert printed["basis"]
    assert (printed["eecu_h"] > 0) == (load_recipe(RECIPES[name]).source_kind == "earthengine")


@pytest.mark.verifies("DAT-003")
def test_the_totals_of_the_source_text_come_out():
    mosaics = plan(load_recipe(RECIPES["thesis-sentinel2"]))
    assert mosaics.products == {"train": 32_000, "validation": 8_000}
    assert mosaics.requests == 40_000  # one computePixels call each: 34.2 MiB is below its 48 MB
    assert mosaics.bytes_raw == pytest.approx(1.43e12, rel=0.005)
    assert mosaics.days["Community"] > mosaics.days["Contributor"]
    assert "assumed" in mosaics.basis
    scenes = plan(load_recipe(RECIPES["thesis-landsat-test"]))
    assert scenes.products == {"test": 8_000}
    assert scenes.requests == 8_000 + 32  # and one listing a region and collection
