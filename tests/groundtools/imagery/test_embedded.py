"""The imagery of the packages alone: sharp coasts, land without blue, flat water."""

import pytest

from groundtools.imagery import Imagery, open_imagery
from groundtools.imagery.mercator import bounds_px


@pytest.fixture(scope="module")
def embedded():
    return open_imagery("embedded")


@pytest.mark.verifies("IMG-001")
def test_it_is_an_imagery(embedded):
    assert isinstance(embedded, Imagery)
    assert embedded.valid(0, 0, 3, 2, level=8).all()


@pytest.mark.verifies("IMG-002")
@pytest.mark.parametrize(
    "bounds", [(12.0, 40.0, 16.0, 43.0), (-88.0, 43.0, -84.0, 46.0), (24.0, 36.0, 28.0, 39.0)]
)
def test_colours_end_at_the_shoreline(embedded, bounds):
    window = bounds_px(bounds, level=8)
    rgb = embedded.read(*window, level=8).astype(int)
    land = embedded.land(*window, level=8)
    red, blue = rgb[..., 0], rgb[..., 2]
    assert (blue > red)[land == 255].mean() < 0.01  # the photograph's blurred sea is gone
    assert (blue > red + 20)[land == 0].all()
    assert rgb[land == 0].std(axis=0).max() < 5.0  # grey levels


@pytest.mark.parametrize("window", [(0, -40, 64, 24), (0, 65_500, 64, 65_600), (-300, 9_000, 300, 9_064)])
def test_the_ends_of_the_world_are_filled(embedded, window):
    x0, y0, x1, y1 = window
    assert embedded.read(*window, level=8).shape == (y1 - y0, x1 - x0, 3)


def test_levels_outside_the_pyramid_are_refused(embedded):
    with pytest.raises(ValueError, match="level"):
        embedded.read(0, 0, 2, 2, level=9)
