"""Colours carried over from land to where the picture shows water."""

import numpy as np
import pytest

from groundtools.imagery.fill import fill_water, without_blue_rim

GREEN, BLUE = (60, 80, 40), (30, 60, 120)


def test_filling_keeps_what_is_trusted_and_spreads_it():
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[:, :32] = (200, 100, 50)
    photo[:, 32:] = (0, 0, 255)
    weight = np.zeros((64, 64), np.float32)
    weight[:, :32] = 1.0
    filled = fill_water(photo, weight)
    np.testing.assert_allclose(filled.reshape(-1, 3), np.tile([200, 100, 50], (4096, 1)), atol=1)


def test_filling_without_any_trust_gives_something_finite():
    filled = fill_water(np.full((7, 5, 3), 80, np.uint8), np.zeros((7, 5), np.float32))
    assert filled.shape == (7, 5, 3)


@pytest.mark.verifies("IMG-002")
def test_the_pictures_own_water_is_taken_off_the_land_beside_the_shore():
    picture = np.full((40, 40, 3), GREEN, np.uint8)
    picture[:, 18:] = BLUE  # the picture's shore lies two pixels inland of the mask's
    picture[5:8, 5:8] = BLUE  # a pond the mask does not know stays
    land = np.zeros((40, 40, 1), np.uint8)
    land[:, :20] = 255
    cleaned = without_blue_rim(picture, land)
    np.testing.assert_allclose(cleaned[:, 18:20].reshape(-1, 3), np.tile(GREEN, (80, 1)), atol=3)
    assert (cleaned[5:8, 5:8] == BLUE).all()
    assert np.array_equal(cleaned[:, :18], picture[:, :18])
