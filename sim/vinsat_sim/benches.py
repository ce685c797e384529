"""Speeds that need a yardstick from the simulation side: propagation, and the renderer's rays."""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.elements import Elements, state_from_elements
from flightsw.astro.eop import default_earth_orientation
from flightsw.astro.forces import Forces
from flightsw.astro.geodesy import ecef_from_lla, lla_from_ecef
from flightsw.astro.propagate import propagate
from flightsw.astro.time import Epoch
from flightsw.camera.load import load_camera
from flightsw.camera.nadir import body_from_ecef_nadir
from groundtools.imagery.mercator import pixel_from_lonlat
from groundtools.registry import Bench, Check, at_least, at_most, noted
from vinsat_sim.scenario import SCENARIOS
from vinsat_sim.scene.grid import ray_grid

Array = NDArray[np.float64]

ARC_S = 6 * 3600.0
EVERY_S = 10.0
REPEATS = 3
LIMIT_S = 0.5  # with the state-transition matrix, on one core of a recent server processor
AGREE_M = 1.0  # the same forces must give the same orbit, or the times compare nothing
LEVEL = 8  # of the map: 611 m per pixel at the equator
MAP_ERROR_PX = 0.1
FASTER = 10.0
CAMERA = load_camera(SCENARIOS / "camera.toml")
START = Epoch.from_utc("2025-03-20T00:00:00Z")
ORBIT = Elements(a=6_928_137.0, e=0.001, inclination=1.7, raan=0.5, argument_of_perigee=1.0, true_anomaly=0.2)


def _least(function: Callable[[], object]) -> float:
    """Return the least of a few wall times, s: the one other work disturbed least."""
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        function()
        taken.append(time.perf_counter() - started)
    return min(taken)


def propagation() -> tuple[Check, ...]:
    """Time 6 h at 20x20 gravity, every 10 s, against brahe's integrator at the same forces."""
    t_s = np.arange(0.0, ARC_S + EVERY_S, EVERY_S)
    state = state_from_elements(ORBIT)
    forces = Forces(degree=20, drag=False)
    theirs_final: list[Array] = []

    def ours() -> Array:
        return propagate(forces, START, state, 1.0, t_s).state

    def theirs() -> None:
        theirs_final.append(_brahe_final(state))

    ours_s, theirs_s = _least(ours), _least(theirs)
    with_stm_s = _least(lambda: propagate(forces, START, state, 1.0, t_s, with_stm=True))
    difference_m = float(np.linalg.norm(ours()[-1, :3] - theirs_final[-1][:3]))
    return (
        at_most("difference_after_6_h_m", difference_m, AGREE_M, unit="m"),
        at_most("time_over_brahe", ours_s / theirs_s, 1.0),
        at_most("with_state_transition_matrix_s", with_stm_s, LIMIT_S, unit="s"),
        noted("vinsat_s", ours_s),
        noted("brahe_s", theirs_s),
    )


def _brahe_final(state: Array) -> Array:
    """Return brahe's state (6,) at the end of the arc: 20x20, no drag, no third bodies."""
    import brahe

    here = default_earth_orientation().at(START)
    # brahe 1.8 takes the pole first and UT1-UTC third, whatever its parameters are called.
    provider = brahe.StaticEOPProvider.from_values(here.xp_rad, here.yp_rad, here.ut1_utc_s, 0.0, 0.0, 0.0)
    brahe.set_global_eop_provider(provider)
    epoch = brahe.Epoch.from_string(START.utc_iso(digits=3))
    gravity = brahe.GravityConfiguration.spherical_harmonic(20, 20)
    config = brahe.NumericalPropagationConfig.default()
    orbit = brahe.NumericalOrbitPropagator(epoch, state, config, brahe.ForceModelConfig(gravity=gravity))
    orbit.propagate_to(epoch + ARC_S)
    return np.asarray(orbit.current_state())


def renderer() -> tuple[Check, ...]:
    """Time the pixel-to-map table of a frame from a coarse grid of rays, against a ray per pixel."""
    r_ecef = ecef_from_lla(np.radians(44.0), np.radians(12.0), np.array(550e3))
    v_ecef = np.array([1000.0, 6000.0, 4000.0])
    cam_from_ecef = body_from_ecef_nadir(r_ecef, v_ecef)

    def from_grid() -> Array:
        grid = ray_grid(CAMERA, r_ecef, cam_from_ecef)
        return grid.upsampled(pixel_from_lonlat(*grid.lonlat(), level=LEVEL) - origin)

    def per_pixel() -> Array:
        grid = ray_grid(CAMERA, r_ecef, cam_from_ecef, step=1)
        return pixel_from_lonlat(*grid.lonlat(), level=LEVEL)[1:-1, 1:-1] - origin

    lat, lon, _ = lla_from_ecef(r_ecef)
    origin = pixel_from_lonlat(lon, lat, level=LEVEL)  # near it, single precision is enough
    started = time.perf_counter()
    exact = per_pixel()
    pixel_s = time.perf_counter() - started  # once: it takes seconds
    grid_s = _least(from_grid)
    error_px = float(np.abs(from_grid() - exact).max())
    return (
        at_most("largest_error_map_px", error_px, MAP_ERROR_PX, unit="px of 611 m"),
        at_least("times_faster_than_a_ray_per_pixel", pixel_s / grid_s, FASTER),
        noted("grid_ms", 1e3 * grid_s),
        noted("per_pixel_ms", 1e3 * pixel_s),
    )


PROPAGATE = Bench(
    id="propagate", title="6 h of orbit at 20x20 gravity, against brahe in the same run", run=propagation
)
RENDERER = Bench(
    id="renderer", title="where 2304x1296 pixels look: a grid of rays against a ray per pixel", run=renderer
)
