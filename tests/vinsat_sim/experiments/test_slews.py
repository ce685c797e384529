import numpy as np
import pytest

from vinsat_sim.experiments.mpc.satellite import CONE, angle_deg, boresight, difference, draw, fly


def test_slews_start_and_end_outside_the_cone():
    slews = draw(20, 3)
    for sigma in (slews.x0[:, :3], slews.target):
        angle = np.arccos(np.sum(boresight(sigma) * slews.sun[:, 0], axis=1))
        assert (angle > CONE).all()
    turned = angle_deg(slews.x0[:, :3], slews.target)
    assert ((turned > 39.0) & (turned < 121.0)).all()


def test_the_difference_of_an_attitude_from_itself_is_nothing(rng):
    sigma = 0.3 * rng.normal(size=(5, 3))
    assert np.abs(difference(sigma, sigma)).max() < 1e-12
    shadow = -sigma / np.sum(sigma * sigma, axis=1, keepdims=True)
    assert angle_deg(shadow, sigma).max() < 1e-6


@pytest.mark.slow
@pytest.mark.verifies("LAY-011")
def test_the_planner_keeps_the_sun_out_where_pd_control_does_not():
    slews = draw(12, 5)
    planned, simple = fly(slews, "mpc"), fly(slews, "pd")
    assert planned.violation_deg.max() <= 0.1
    assert planned.error_deg.max() < 2.0
    assert simple.violation_deg.max() > 1.0
