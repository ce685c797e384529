"""A fitted orbit follows SGP4: two independent theories of the oblate Earth."""

import numpy as np
import pytest

from flightsw.astro.propagate import Forces, propagate
from flightsw.astro.time import Epoch

api = pytest.importorskip("skyfield.api")

# A made-up 550 km polar and a 420 km ISS-like satellite, without drag.
TLES = {
    "polar": (
        "1 99001U 26001A   26060.50000000  .00000000  00000-0  00000-0 0  9990",
        "2 99001  97.6000 120.0000 0012000  80.0000 280.0000 15.05000000    10",
    ),
    "ISS-like": (
        "1 99002U 26001B   26060.50000000  .00000000  00000-0  00000-0 0  9992",
        "2 99002  51.6400 250.0000 0006000  30.0000 330.0000 15.50000000    16",
    ),
}


@pytest.mark.verifies("AST-007")
@pytest.mark.parametrize("name", TLES)
@pytest.mark.filterwarnings("ignore")  # skyfield warns of its own NumPy usage
def test_six_hours_of_sgp4_are_fitted_within_a_kilometre(name):
    timescale = api.load.timescale(builtin=True)
    satellite = api.EarthSatellite(*TLES[name], name, timescale)
    t = np.arange(0.0, 21_601.0, 120.0)
    epoch = Epoch.from_utc("2026-03-01T12:00:00Z")
    times = timescale.tt_jd(2_451_545.0, (epoch.tt_seconds + t) / 86_400.0)
    at = satellite.at(times)
    truth = at.position.m.T
    x = np.concatenate([truth[0], at.velocity.m_per_s.T[0]])
    for _ in range(5):  # Gauss-Newton with our matrix
        arc = propagate(Forces(drag=False), epoch, x, 0.0, t, with_stm=True)
        jacobian = arc.stm[:, :3, :6].reshape(-1, 6)
        unit = np.array([1.0, 1.0, 1.0, 1e-3, 1e-3, 1e-3])  # m, m/s: of one size
        x = x + unit * np.linalg.lstsq(jacobian * unit, (truth - arc.state[:, :3]).ravel(), rcond=None)[0]
    residual = np.linalg.norm(propagate(Forces(drag=False), epoch, x, 0.0, t).state[:, :3] - truth, axis=1)
    assert np.sqrt(np.mean(residual**2)) < 1000.0  # m; J2 with permuted columns leaves tens of km
