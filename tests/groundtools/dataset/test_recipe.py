from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.config import parse_toml
from flightsw.errors import EXIT_INPUT, InputError
from groundtools import cli
from groundtools.dataset.products import products
from groundtools.dataset.recipe import Recipe, load_recipe, shipped_recipes

EMBEDDED = next(path for path in shipped_recipes() if path.stem == "embedded")


def altered(tmp_path: Path, old: str, new: str) -> Path:
    text = EMBEDDED.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "recipe.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.verifies("DAT-001")
@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("seed = 1", "sed = 1", "sed"),
        ("scale_m_px = 600.0", "scale_km_px = 0.6", "camera.scale_km_px"),
        ("scale_m_px = 600.0", 'scale_m_px = "600 m"', "camera.scale_m_px"),
        ("scale_m_px = 600.0", "scale_m_px = -600.0", "camera.scale_m_px"),
        ('regions = ["32T", "33T"]', "regions = []", "regions"),
        ('regions = ["32T", "33T"]', 'regions = ["99Z"]', "regions[0]"),
        (
            'regions = ["32T", "33T"]\n',
            'regions = ["a"]\nareas = { a = [9.0, 40.0, 9.0, 48.0] }\n',
            "areas.a",
        ),
        ("per_region = 6", "per_region = -6", "splits.train.per_region"),
        ("first_year = 2021", "first_year = 2031", "splits.train.first_year"),
        ("first_year = 2019\nlast_year = 2019", "first_year = 2022\nlast_year = 2022", "splits.validation"),
        ("[splits.test]", "[splits.tset]", "splits.tset"),
        ("[stac]", "[tiles]\nlevel = 8\n[stac]", "tiles"),
        ('["red", "green", "blue"]', '["red", "green"]', "stac.bands"),
        ("high = 10000.0", "high = 0.0", "stac.high"),
        ('collections = ["embedded-l2a"]', "collections = []", "stac.collections"),
        ("per_region = 6", "per_region = 6\nmonths = [13]", "splits.train.months"),
    ],
)
def test_a_bad_recipe_is_one_line_with_file_and_key(tmp_path, capsys, old, new, field):
    path = altered(tmp_path, old, new)
    out = tmp_path / "out"
    assert cli.main(["dataset", "build", str(path), "--out", str(out)]) == EXIT_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"vinsat: {path}: {field}: ")
    assert not out.exists()


@pytest.mark.verifies("DAT-001")
def test_a_year_before_the_mission_is_refused(tmp_path):
    text = next(p for p in shipped_recipes() if p.stem == "thesis-sentinel2").read_text(encoding="utf-8")
    path = tmp_path / "early.toml"
    path.write_text(text.replace("first_year = 2018", "first_year = 2009"), encoding="utf-8")
    with pytest.raises(InputError, match=r"splits\.validation\.first_year: 2009 is before .* \(2015\)"):
        load_recipe(path)


def test_tiles_of_one_date_cannot_be_shared_by_two_splits():
    text = """
        name = "a"
        seed = 1
        regions = ["33T"]
        camera = { width_px = 64, height_px = 64, scale_m_px = 600.0 }
        tiles = {}
        [splits]
        train = { per_region = 1, scenes = ["embedded"] }
        test = { per_region = 1, scenes = ["embedded"] }
    """
    with pytest.raises(InputError, match=r"splits\.test: shares embedded with train"):
        parse_toml(text, Recipe)


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=6,
    ),
    st.sampled_from(
        ["seed", "regions", "camera", "splits", "areas", "clouds", "stac", "views", "min_valid_percent"]
    ),
)
def test_any_value_anywhere_ends_in_a_recipe_or_an_input_error(value, key):
    import json

    def toml(item: object) -> str:
        if isinstance(item, dict):
            return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in item.items()) + "}"
        if isinstance(item, list):
            return "[" + ", ".join(toml(v) for v in item) + "]"
        return json.dumps(item) if not isinstance(item, float) else repr(item)

    lines = EMBEDDED.read_text(encoding="utf-8").splitlines()
    head = [line for line in lines[: lines.index("[camera]")] if not line.startswith(f"{key} =")]
    text = "\n".join([*head, f"{key} = {toml(value)}", *lines[lines.index("[camera]") :]])
    try:
        recipe = parse_toml(text, Recipe)
    except InputError as error:
        said = str(error)
    else:
        said = recipe.name
    assert "\n" not in said
    assert said


@pytest.mark.verifies("DAT-002")
def test_products_follow_from_the_recipe_and_lie_in_their_region():
    recipe = load_recipe(EMBEDDED)
    first, again = list(products(recipe)), list(products(recipe))
    assert first == again
    assert len(first) == 20
    assert len({product.seed for product in first}) == 20
    for product in first:
        grid = product.grid
        ((lon, lat),) = grid.lonlat_from_uv([[grid.width_px / 2, grid.height_px / 2]])
        west, south, east, north = recipe.bounds_deg(product.region)
        assert west - 0.01 < lon < east + 0.01
        assert south - 0.01 < lat < north + 0.01
        assert grid.epsg == {"32T": 32632, "33T": 32633}[product.region]
