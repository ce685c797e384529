"""Keplerian elements and back."""

import numpy as np
import pytest

from flightsw.astro.elements import (
    Elements,
    elements_from_state,
    state_from_elements,
    state_from_mean_anomaly,
)
from flightsw.astro.gravity import GM_EARTH


@pytest.mark.verifies("AST-010")
def test_there_and_back_on_random_ellipses_and_hyperbolas(rng):
    for e in np.concatenate([rng.uniform(0.0, 0.9, 40), rng.uniform(1.1, 3.0, 10)]):
        a = 7e6 / (1.0 - e)
        largest = np.pi if e < 1.0 else np.arccos(-1.0 / e) - 0.1
        raan, perigee = rng.uniform(0, 2 * np.pi, 2)
        elements = Elements(a, e, rng.uniform(0.01, 3.1), raan, perigee, rng.uniform(0, largest))
        back = elements_from_state(state_from_elements(elements))
        np.testing.assert_allclose(back.a, a, rtol=1e-12)
        np.testing.assert_allclose(back.e, e, atol=1e-12)
        np.testing.assert_allclose(
            state_from_elements(back), state_from_elements(elements), rtol=1e-9, atol=1e-4
        )


@pytest.mark.verifies("AST-010")
@pytest.mark.parametrize(("e", "inclination"), [(0.0, 1.0), (0.01, 0.0), (0.0, 0.0), (0.0, np.pi)])
def test_circular_and_equatorial_orbits_keep_their_state(e, inclination):
    state = state_from_elements(Elements(7e6, e, inclination, 0.4, 0.9, 1.7))
    back = elements_from_state(state)
    np.testing.assert_allclose(state_from_elements(back)[:3], state[:3], atol=1e-3)  # m
    np.testing.assert_allclose(state_from_elements(back)[3:], state[3:], atol=1e-6)  # m/s


@pytest.mark.verifies("AST-010")
def test_mean_anomaly_counts_time():
    elements = Elements(7e6, 0.3, 1.0, 0.4, 0.9, 0.0)
    for mean in (0.0, 0.1, 2.0, 3.1, 4.0, 6.2):
        back = elements_from_state(state_from_mean_anomaly(elements, mean))
        assert back.mean_anomaly == pytest.approx(mean, abs=1e-12)


def test_a_fall_and_a_parabola_are_refused():
    with pytest.raises(ValueError, match="radial fall"):
        elements_from_state(np.array([7e6, 0.0, 0.0, 100.0, 0.0, 0.0]))
    with pytest.raises(ValueError, match="positive"):
        state_from_elements(Elements(7e6, 1.0, 0.1, 0.0, 0.0, 0.0))
    hyperbola = elements_from_state(np.array([7e6, 0.0, 0.0, 0.0, 2.0 * np.sqrt(GM_EARTH / 7e6), 0.0]))
    with pytest.raises(ValueError, match="mean anomaly"):
        _ = hyperbola.mean_anomaly
