"""Propagation, gravity, density and frames against brahe, with the same forces."""

import numpy as np
import pytest

from flightsw.astro.drag import harris_priester
from flightsw.astro.elements import Elements, state_from_elements
from flightsw.astro.gravity import R_EARTH, gravity_acceleration, load_gravity
from flightsw.astro.propagate import Forces, propagate
from flightsw.astro.time import Epoch

bh = pytest.importorskip("brahe")

EPOCH = Epoch.from_utc("2026-03-01T12:00:00Z")
SIX_HOURS = 21_600.0  # s
BALLISTIC = 2.2 * 0.01 / 1.3  # m^2/kg

ORBITS = {
    "250 km, ISS-like": Elements(R_EARTH + 2.6e5, 0.001, np.radians(51.6), 1.0, 2.0, 0.3),
    "550 km, polar": Elements(R_EARTH + 5.5e5, 0.005, np.radians(97.5), 4.0, 0.5, 2.0),
    "1,200 km, low inclination": Elements(R_EARTH + 1.19e6, 0.0005, np.radians(12.0), 2.0, 5.0, 6.0),
}


@pytest.fixture(autouse=True, scope="module")
def _earth_orientation():
    bh.set_global_eop_provider(bh.FileEOPProvider.from_default_standard(True, "Hold"))


def brahe_state(state, t_s, **forces):
    """Return brahe's state (6,) after t_s, 20x20 EGM2008 and the forces given."""
    start = bh.Epoch.from_date(2026, 3, 1, bh.TimeSystem.UTC) + 43_200.0
    config = bh.ForceModelConfig(gravity=bh.GravityConfiguration(degree=20, order=20), **forces)
    numbers = bh.NumericalPropagationConfig.default().with_abs_tol(1e-9).with_rel_tol(1e-12)
    orbit = bh.NumericalOrbitPropagator(start, state, numbers, config)
    orbit.propagate_to(start + t_s)
    return orbit.state(start + t_s)


@pytest.mark.verifies("AST-007")
@pytest.mark.parametrize("name", ORBITS)
def test_six_hours_without_drag_end_within_a_centimetre(name):
    state = state_from_elements(ORBITS[name])
    ours = propagate(Forces(drag=False), EPOCH, state, 1.0, np.array([SIX_HOURS])).state[0]
    theirs = brahe_state(state, SIX_HOURS)
    assert np.linalg.norm(ours[:3] - theirs[:3]) < 0.01  # m; 1 m is required
    assert np.linalg.norm(ours[3:] - theirs[3:]) < 1e-5  # m/s


@pytest.mark.verifies("AST-007")
def test_six_hours_with_drag_of_the_same_density_end_within_a_hundredth_of_its_effect():
    state = state_from_elements(ORBITS["550 km, polar"])
    drag = bh.DragConfiguration(
        model=bh.AtmosphericModel.HARRIS_PRIESTER,
        area=bh.ParameterSource.value(BALLISTIC * 1.3 / 2.2),
        cd=bh.ParameterSource.value(2.2),
    )
    t = np.array([SIX_HOURS])
    ours = propagate(Forces(), EPOCH, state, 1.0, t).state[0]
    without = propagate(Forces(drag=False), EPOCH, state, 1.0, t).state[0]
    theirs = brahe_state(state, SIX_HOURS, drag=drag, mass=bh.ParameterSource.value(1.3))
    effect = np.linalg.norm(ours[:3] - without[:3])
    assert effect > 20.0  # m
    assert np.linalg.norm(ours[:3] - theirs[:3]) < 0.01 * effect


@pytest.mark.verifies("AST-007")
def test_sun_and_moon_pull_as_brahes_do():
    state = state_from_elements(ORBITS["550 km, polar"])
    low = bh.EphemerisSource.LowPrecision
    bodies = [bh.ThirdBodyConfiguration(body, low) for body in (bh.ThirdBody.SUN, bh.ThirdBody.MOON)]
    t = np.array([SIX_HOURS])
    ours = propagate(Forces(drag=False, third_body=True), EPOCH, state, 1.0, t).state[0]
    theirs = brahe_state(state, SIX_HOURS, third_body=bodies)
    assert np.linalg.norm(ours[:3] - theirs[:3]) < 0.5  # m of the 33 m they move it


@pytest.mark.verifies("AST-006")
@pytest.mark.parametrize("degree", [2, 10, 20])
def test_gravity_is_brahes(rng, degree):
    r_ecef = rng.normal(size=(30, 3))
    r_ecef *= rng.uniform(6.63e6, 7.6e6, (30, 1)) / np.linalg.norm(r_ecef, axis=1, keepdims=True)
    model = bh.GravityModel.from_model_type(bh.GravityModelType.EGM2008_120)
    theirs = np.array([model.compute_spherical_harmonics(r, degree, degree) for r in r_ecef])
    np.testing.assert_allclose(gravity_acceleration(load_gravity(degree), r_ecef), theirs, atol=1e-12)


@pytest.mark.verifies("AST-011")
def test_density_is_brahes_harris_priester(rng):
    height = np.append(np.arange(2e5, 9.9e5, 2e4), rng.uniform(2e5, 9.9e5, 40))
    direction = rng.normal(size=(len(height), 3))
    r_ecef = direction / np.linalg.norm(direction, axis=1, keepdims=True) * (6.37e6 + height)[:, None]
    sun = rng.normal(size=(len(height), 3))
    sun /= np.linalg.norm(sun, axis=1, keepdims=True)
    theirs = np.array([bh.density_harris_priester(r, s * 1.496e11) for r, s in zip(r_ecef, sun, strict=True)])
    known = theirs > 0.0
    # Their log-linear interpolation against our smooth one.
    np.testing.assert_allclose(harris_priester(r_ecef, sun)[0][known], theirs[known], rtol=0.01)
