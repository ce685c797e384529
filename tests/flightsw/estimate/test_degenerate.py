"""What no orbit can come of, and what is too much: a status, in bounded time and memory."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flightsw.estimate.batch import estimate_orbit
from flightsw.estimate.observations import Observations
from flightsw.estimate.solution import Solution, Status

LIMIT_S, LIMIT_MB = 30.0, 500.0
HOURS_APART = ((0.0, 100.0), (18_000.0, 18_100.0))  # s


def timed(case, observations: Observations) -> Solution:
    start = time.process_time()
    solution = estimate_orbit(observations, case.camera, attitude=case.attitude)
    assert time.process_time() - start < LIMIT_S
    return solution


@pytest.mark.parametrize("inclination", [0.0, 1.2, 2.9])  # equatorial, inclined, retrograde
@pytest.mark.parametrize("nadir", [True, False])
@pytest.mark.verifies("EST-009")
def test_two_frames_five_hours_apart_determine_nothing(
    nadir: bool, inclination: float, synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, nadir=nadir, inclination=inclination, windows=HOURS_APART)
    o = case.observations
    last = o.frame_index.max()
    solution = timed(case, o.subset((o.frame_index == 3) | (o.frame_index == last - 3)))
    assert not solution.status.is_determined


@pytest.mark.parametrize("inclination", [0.0, 2.9])
@pytest.mark.verifies("EST-009")
def test_landmarks_on_a_line_never_determine_a_wrong_orbit(
    inclination: float, synthetic: Callable, rng: np.random.Generator
) -> None:
    """A line along the ground track of an equatorial orbit leaves what lies across it open."""
    case = synthetic(rng, nadir=False, inclination=inclination, landmarks=400, per_frame=400)
    o = case.observations
    for coordinate in (o.lat_deg, o.lon_deg):
        middle = np.median(coordinate[o.t_s < 1e3])
        solution = timed(case, o.subset(np.abs(coordinate - middle) < 0.05))
        if solution.status.is_determined:
            assert case.error(solution, case.t_s[-1]) < 5e3  # m


@pytest.mark.parametrize("inclination", [0.0, 2.9])
@pytest.mark.parametrize("windows", [((0.0, 150.0), (6_000.0, 6_150.0)), HOURS_APART])
@pytest.mark.verifies("EST-009")
def test_a_hundred_per_cent_of_outliers_is_no_orbit(
    windows: tuple, inclination: float, synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, nadir=False, inclination=inclination, windows=windows)
    size = np.array([case.camera.width_px, case.camera.height_px])
    uv_px = rng.uniform(0.0, 1.0, case.observations.uv_px.shape) * size
    assert not timed(case, replace(case.observations, uv_px=uv_px)).status.is_determined


@pytest.mark.verifies("EST-009")
def test_all_in_one_frame_is_a_place_and_no_orbit(synthetic: Callable, rng: np.random.Generator) -> None:
    case = synthetic(rng, windows=((0.0, 0.0),), landmarks=2_000, per_frame=2_000)
    solution = timed(case, case.observations)
    assert len(case.observations) > 1_000
    assert not solution.status.is_determined


@pytest.mark.slow
@pytest.mark.parametrize("spoiled", [False, True])
@pytest.mark.verifies("EST-009")
def test_a_hundred_thousand_observations_take_bounded_time_and_memory(
    spoiled: bool, synthetic: Callable, rng: np.random.Generator, tmp_path: Path
) -> None:
    """The flight program itself: its processor time and its peak memory, as the system counts them."""
    windows = tuple((start, start + 590.0) for start in (0.0, 5_700.0, 11_400.0, 17_100.0))
    case = synthetic(rng, windows=windows, landmarks=4_000, per_frame=430)
    o = case.observations
    assert len(o) > 90_000
    uv_px = rng.uniform(0.0, 1.0, o.uv_px.shape) * 1_296.0 if spoiled else o.uv_px
    with (tmp_path / "obs.csv").open("w", encoding="utf-8") as file:
        file.write("time_utc,landmark_id,lon_deg,lat_deg,height_m,u_px,v_px,confidence\n")
        stamp = {t: (o.epoch + float(t)).utc_iso() for t in o.frame_t_s}
        for k in range(len(o)):
            place = f"{o.lon_deg[k]:.7f},{o.lat_deg[k]:.7f},{o.height_m[k]:.1f}"
            file.write(
                f"{stamp[o.t_s[k]]},{o.landmark_id[k]},{place},{uv_px[k, 0]:.2f},{uv_px[k, 1]:.2f},1\n"
            )
    c = case.camera
    (tmp_path / "cam.toml").write_text(
        f"width_px = {c.width_px}\nheight_px = {c.height_px}\nfx_px = {c.fx_px}\nfy_px = {c.fy_px}\n"
        f"cx_px = {c.cx_px}\ncy_px = {c.cy_px}\ndistortion = [0.0, 0.0, 0.0, 0.0, 0.0]\n"
        "cam_from_body = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-P", "-m", "flightsw.cli", "od", "--out", str(tmp_path / "out")]
    command += ["--observations", str(tmp_path / "obs.csv"), "--camera", str(tmp_path / "cam.toml")]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, code, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(code)
    status = json.loads((tmp_path / "out" / "solution.json").read_text(encoding="utf-8"))["status"]
    assert child.returncode == (4 if spoiled else 0)
    assert (status == Status.DETERMINED.name) is not spoiled
    assert used.ru_utime + used.ru_stime < LIMIT_S
    assert used.ru_maxrss / 1024.0 < LIMIT_MB
