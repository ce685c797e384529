"""The residual of an orbit against what the camera would truly have seen."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from flightsw.astro.propagate import Forces, propagate
from flightsw.astro.rotation import ecef_from_eci
from flightsw.camera.model import Camera
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.project import observe
from flightsw.estimate.orbit_fit import SIZE, residual_and_jacobian
from flightsw.estimate.residuals import rotation_and_left_jacobian
from flightsw.estimate.sightings import Sightings, prepare_sightings

FULL = Camera(width_px=4608, height_px=2592, fx_px=3547.85, fy_px=3547.85, cx_px=2304.0, cy_px=1296.0)
STEPS = np.array([10.0] * 3 + [0.01] * 3 + [0.1] + [1e-6] * 3 + [1e-5, 1e-8, 0.1])


def start(case: object, sightings: Sightings) -> np.ndarray:
    """Return x (12,) at the sightings' epoch: the truth, with nothing else known."""
    x = np.zeros(SIZE)
    x[:6] = case.state[0]  # type: ignore[attr-defined]
    x[6] = 1.6
    x[7:10] = case.offset  # type: ignore[attr-defined]
    return x


@pytest.mark.verifies("EST-002")
@pytest.mark.parametrize("nadir", [True, False])
def test_all_unknowns_have_exact_derivatives(
    nadir: bool,
    synthetic: Callable[..., object],
    rng: np.random.Generator,
    finite_difference: Callable[..., np.ndarray],
) -> None:
    case = synthetic(rng, nadir=nadir, windows=((0.0, 60.0), (6000.0, 6030.0)), per_frame=4)
    sightings = prepare_sightings(case.observations, case.camera, case.attitude)
    x = start(case, sightings)
    x[10:] = 2e-3, 3e-6, 4.0
    forces = Forces.j2()
    _, jacobian = residual_and_jacobian(sightings, forces, 0.0, x)
    slope = finite_difference(lambda z: residual_and_jacobian(sightings, forces, 0.0, z)[0], x, STEPS)
    size = np.abs(jacobian).max(axis=(0, 1))
    for k in range(SIZE):
        if k == 6:  # J2 alone: no drag to scale
            continue
        # The derivative by the clock leaves out J2's share of the acceleration.
        np.testing.assert_allclose(
            slope[:, :, k], jacobian[:, :, k], atol=(3e-3 if k == 11 else 1e-4) * size[k]
        )


@pytest.mark.verifies("EST-021")
@pytest.mark.parametrize("nadir", [True, False])
def test_a_rolling_shutter_is_where_its_rows_are_exposed(
    nadir: bool, synthetic: Callable[..., object], rng: np.random.Generator
) -> None:
    """80 ms of readout move a detection by 2 px; what is left is below a twentieth of one."""
    case = synthetic(rng, nadir=nadir, windows=((0.0, 60.0),), per_frame=6, camera=FULL)
    camera = replace(case.camera, line_time_s=0.08 / case.camera.height_px)
    sightings = prepare_sightings(case.observations, camera, case.attitude)
    x = start(case, sightings)
    still = replace(sightings, late_s=None, uv_px=np.zeros_like(sightings.uv_px))
    global_uv = -residual_and_jacobian(still, Forces(), 0.0, x)[0]
    rolled = np.array([_exposed(case, camera, sightings, k, global_uv[k]) for k in range(len(sightings))])
    late_s = (rolled[:, 1] - 0.5 * camera.height_px) * camera.line_time_s
    with_earth = _with_earth(sightings, case, late_s)
    seen = replace(sightings, uv_px=rolled, late_s=late_s, p_eci=with_earth)
    e, _ = residual_and_jacobian(seen, Forces(), 0.0, x)
    assert np.abs(rolled - global_uv).max() > 1.0  # px: it matters
    assert np.abs(e).max() < 0.05  # px


def _with_earth(sightings: Sightings, case: object, late_s: np.ndarray) -> np.ndarray:
    """Return the landmarks (N, 3), eci, at the instants they are exposed."""
    t_s = sightings.t_s[sightings.frame]
    there = np.asarray(ecef_from_eci(sightings.epoch, t_s + late_s)).reshape(-1, 3, 3)
    return np.einsum("nji,nj->ni", there, case.observations.p_ecef[sightings.row])  # type: ignore[attr-defined]


def _exposed(case: object, camera: object, sightings: Sightings, k: int, uv: np.ndarray) -> np.ndarray:
    """Return the pixel (2,) at which a landmark is exposed, found by iteration."""
    t = float(sightings.t_s[sightings.frame[k]])
    for _ in range(4):
        late = float((uv[1] - 0.5 * camera.height_px) * camera.line_time_s)  # type: ignore[attr-defined]
        state = propagate(
            Forces(),
            sightings.epoch,
            case.state[0],
            1.6,
            np.array([t + late]),  # type: ignore[attr-defined]
        ).state[0]
        to_ecef = np.asarray(ecef_from_eci(sightings.epoch, np.array([t + late]))).reshape(3, 3)
        r, v = to_ecef @ state[:3], to_ecef @ state[3:]
        body = rotation_and_left_jacobian(case.offset)[0] @ body_from_ecef_nadir(r, v)  # type: ignore[attr-defined]
        p = case.observations.p_ecef[sightings.row[k]][None]  # type: ignore[attr-defined]
        uv = observe(camera, camera.cam_from_body @ body, r, p)[0][0]  # type: ignore[attr-defined, arg-type]
    return uv
