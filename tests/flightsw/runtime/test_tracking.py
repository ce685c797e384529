import numpy as np
import pytest

from flightsw.astro.geodesy import WGS84_A
from flightsw.astro.gravity import GM_EARTH
from flightsw.astro.rotation import OMEGA_EARTH
from flightsw.camera.model import Camera
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.pose_fit import Pose
from flightsw.runtime.known_case import known_case
from flightsw.runtime.tracking import Fix, Innovations, beside, expected_poses
from flightsw.vision.track import Expectation, middle_of

CAMERA = Camera(1152, 648, 886.9625, 886.9625, 576.0, 324.0)


def circular(t_s: float) -> Pose:
    """Return a nadir-pointing pose on a circular orbit, 60 deg of inclination."""
    radius = WGS84_A + 520e3
    rate = np.sqrt(GM_EARTH / radius**3)
    u, inclination, spin = 0.6 + rate * t_s, np.deg2rad(60.0), -OMEGA_EARTH[2] * t_s
    plane = np.array([[1, 0, 0], [0, np.cos(inclination), 0], [0, np.sin(inclination), 0]])
    turn = np.array([[np.cos(spin), -np.sin(spin), 0], [np.sin(spin), np.cos(spin), 0], [0, 0, 1]])
    r = turn @ plane @ np.array([np.cos(u), np.sin(u), 0]) * radius
    v = turn @ plane @ np.array([-np.sin(u), np.cos(u), 0]) * radius * rate
    return Pose(r, body_from_ecef_nadir(r, v))


def miss_km(expected: Expectation, pose: Pose) -> float:
    return float(np.linalg.norm(middle_of(expected.pose) - middle_of(pose))) / 1e3


@pytest.mark.parametrize("t_s", [-50.0, -10.0, 20.0, 55.0])
def test_one_fix_tells_where_its_neighbours_are_by_the_circular_speed(t_s):
    expected = beside([Fix(0.0, circular(0.0))], t_s, CAMERA)
    assert miss_km(expected, circular(t_s)) < 3.0
    assert expected.sigma > 10e3


def test_two_fixes_tell_it_without_the_camera_pointing_along_the_track():
    yawed = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    poses = {t: Pose(circular(t).r_ecef, yawed @ circular(t).cam_from_ecef) for t in (0.0, 20.0, 60.0)}
    expected = beside([Fix(t, poses[t]) for t in (0.0, 20.0)], 60.0, CAMERA)
    assert miss_km(expected, poses[60.0]) < 1.0
    assert expected.sigma < 13e3


def test_far_from_every_fix_nothing_is_expected():
    assert beside([Fix(0.0, circular(0.0))], 61.0, CAMERA) is None
    assert beside([], 0.0, CAMERA) is None


def test_fixes_that_contradict_their_orbit_three_times_in_a_row_end_its_use():
    innovations = Innovations()
    here = Expectation(circular(0.0), 1e3)
    for t_s in (2.0, 2.0, 0.0, 2.0, 2.0):
        innovations.add(here, circular(t_s))
        assert not innovations.is_lost
    assert innovations.add(here, circular(2.0)) > 16.0
    assert innovations.is_lost


def test_an_orbit_puts_its_frames_where_the_satellite_was():
    case = known_case()
    solution = case.solution if hasattr(case, "solution") else None
    if solution is None:
        from flightsw.estimate.batch import estimate_orbit

        solution = estimate_orbit(case.observations, case.camera)
    epochs = [solution.epoch + t for t in (0.0, 30.0)]
    expected = expected_poses(solution, epochs, case.camera, None)
    state, _ = solution.predict(np.array([0.0, 30.0]))
    for where, there in zip(expected, state):
        assert where is not None
        assert np.linalg.norm(where.pose.r_ecef) == pytest.approx(np.linalg.norm(there[:3]), abs=1.0)  # m
        assert np.rad2deg(where.pose.tilt_from(tuple(case.camera.cam_from_body[:, 2]))) < 1.0
        assert where.is_useful
    assert expected_poses(solution, [solution.epoch + 20 * 86400.0], case.camera, None) == [None]
