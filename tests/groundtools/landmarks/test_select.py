"""Selection is deterministic, stays inside, spreads out and asks every imagery."""

import numpy as np
import pytest

from groundtools.imagery.mercator import lonlat_from_pixel
from groundtools.landmarks.regions import DETECTOR_IDS, REGION_IDS, REGIONS, Region, region_by_id
from groundtools.landmarks.score import Candidates, corner_strength
from groundtools.landmarks.select import EDGE_DEG, SEPARATION_DEG, catalog_of, select_landmarks

PATCH = Region("TST", 10.0, 42.0, 11.2, 43.0)  # small, so that the test takes seconds


class Islands:
    """An imagery of bright discs in a dark sea, at fixed places."""

    name, credit, native_level = "islands", "", 8

    def __init__(self, brightness: float, hidden: int = 0) -> None:
        rng = np.random.default_rng(3)
        self.centre = np.stack([rng.uniform(10.0, 11.2, 24), rng.uniform(42.0, 43.0, 24)], axis=1)
        self.radius_deg = rng.uniform(0.03, 0.06, 24)
        self.brightness, self.hidden = brightness, hidden

    def read(self, x0, y0, x1, y1, *, level, sea=None):
        x, y = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
        lon, lat = np.rad2deg(lonlat_from_pixel(np.stack([x, y], axis=-1), level=level))
        picture = np.full(x.shape, 30.0)
        for k in range(self.hidden, 24):
            east = (lon - self.centre[k, 0]) * np.cos(np.deg2rad(42.5))
            angle = np.arctan2(lat - self.centre[k, 1], east)
            edge = self.radius_deg[k] * (1.0 + 0.4 * np.cos((2 + k % 4) * angle + k))
            picture[np.hypot(east, lat - self.centre[k, 1]) < edge] = self.brightness
        return np.repeat(picture.astype(np.uint8)[..., None], 3, axis=2)


def test_the_sixteen_regions_are_cells_of_six_by_eight_degrees() -> None:
    assert len(REGIONS) == 16
    assert len(set(REGION_IDS)) == 16
    for region in REGIONS:
        west, south, east, north = region.bounds_deg
        assert (east - west, north - south) == (6.0, 8.0)  # deg
    assert set(DETECTOR_IDS) <= set(REGION_IDS)
    assert len(DETECTOR_IDS) >= 6
    assert region_by_id("17R").bounds_deg == (-84.0, 24.0, -78.0, 32.0)


@pytest.mark.verifies("LMK-001")
def test_selection_is_the_same_twice_and_keeps_apart() -> None:
    imageries = [Islands(140.0), Islands(110.0)]
    first = select_landmarks(PATCH, imageries, 20)
    again = select_landmarks(PATCH, imageries, 20)
    np.testing.assert_array_equal(first.lonlat_deg, again.lonlat_deg)
    assert len(first.score) >= 8
    lon, lat = first.lonlat_deg.T
    assert lon.min() >= PATCH.west_deg + EDGE_DEG
    assert lat.max() <= PATCH.north_deg - EDGE_DEG
    apart = first.lonlat_deg[:, None] - first.lonlat_deg[None]
    apart[..., 0] *= np.cos(np.deg2rad(42.5))
    distance = np.hypot(*np.moveaxis(apart, -1, 0)) + 9.0 * np.eye(len(apart))
    assert distance.min() >= SEPARATION_DEG  # deg


@pytest.mark.verifies("LMK-001")
def test_what_one_imagery_does_not_show_is_not_shared() -> None:
    half_blind = Islands(110.0, hidden=12)
    found = select_landmarks(PATCH, [Islands(140.0), half_blind], 12)
    shared = found.lonlat_deg[found.shared]
    for k in range(12):
        near = np.hypot(*(shared - half_blind.centre[k]).T) < 0.5 * half_blind.radius_deg[k]
        assert not near.any()


def test_a_catalogue_is_numbered_from_north_to_south() -> None:
    found = select_landmarks(PATCH, [Islands(140.0)], 10)
    catalog = catalog_of(PATCH, found)
    assert (np.diff(catalog.lat_deg) <= 0.0).all()
    assert catalog.ids[0] == "TST-001"


def test_a_corner_is_stronger_than_an_edge() -> None:
    picture = np.zeros((200, 200), np.float32)
    picture[60:140, 60:140] = 100.0
    strength = corner_strength(picture)
    assert strength[60:66, 60:66].max() > 5.0 * strength[95:105, 55:66].max()


def test_the_score_is_nothing_for_a_chip_found_elsewhere() -> None:
    one = np.ones(1)
    assert Candidates(np.zeros((1, 2)), 0.02 * one, one, one, one).score[0] == 0.0
