from pathlib import Path

import numpy as np
import pytest

from flightsw.astro.propagate import Forces
from flightsw.estimate.batch import EstimatorOptions, estimate_orbit
from vinsat_sim.experiments import grace_a


@pytest.fixture(scope="module")
def orbit(shared_data: Path) -> grace_a.PreciseOrbit:
    """Return the precise orbit; skip without the shared data."""
    path = shared_data / "orbits" / "grace_a_2010-07-27.csv"
    if not path.is_file():
        pytest.skip(f"needs {path.name} in the shared data")
    return grace_a.read_precise_orbit(path)


def test_the_file_is_read_as_gps_time_and_relative_velocity(orbit: grace_a.PreciseOrbit) -> None:
    assert orbit.epoch.utc_iso(digits=0) == "2010-07-26T23:59:45Z"  # 15 leap seconds since 1980
    assert len(orbit.t_s) == 8641
    arc = grace_a.cut_arc(orbit, 0.0)
    r, v = arc.state[:, :3], arc.state[:, 3:]
    by_difference = (r[2:] - r[:-2]) / 20.0
    # m/s; differencing over 20 s errs by a''/6 * 100 = 0.16, an Earth-relative v by 450
    assert np.linalg.norm(by_difference - v[1:-1], axis=1).max() < 0.5
    altitude = np.linalg.norm(r, axis=1) - 6_371e3
    assert 430e3 < altitude.mean() < 500e3


def test_velocities_of_another_frame_are_refused(orbit: grace_a.PreciseOrbit, tmp_path: Path) -> None:
    rows = [
        f"27/7/2010,x,{r[0] / 1e3},{r[1] / 1e3},{r[2] / 1e3},{v[0] * 10 + 5e3},{v[1] * 10},{v[2] * 10}"
        for r, v in zip(orbit.r_ecef[:5], orbit.v_ecef[:5], strict=True)
    ]
    path = tmp_path / "orbit.csv"
    path.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(ValueError, match="velocities"):
        grace_a.read_precise_orbit(path)


def test_twenty_arcs_start_within_the_half_day_and_have_their_own_seeds() -> None:
    arcs = grace_a.starts_and_seeds("quick")
    assert len(arcs) >= 20
    assert len({seed for _, seed in arcs}) == len(arcs)
    assert all(0.0 <= start <= 43_200.0 for start, _ in arcs)


@pytest.mark.verifies("EST-011")
def test_one_arc_is_found_to_tens_of_metres(orbit: grace_a.PreciseOrbit) -> None:
    arc = grace_a.cut_arc(orbit, 10_000.0)
    observations, attitude = grace_a.sighted(arc, 1, with_outliers=False)
    options = EstimatorOptions(forces=Forces(third_body=True))
    solution = estimate_orbit(observations, grace_a.CAMERA, attitude=attitude, options=options)
    assert solution.status.is_determined
    assert grace_a.rms_error(arc, solution) < 80.0  # m


def test_without_the_shared_data_the_reproduction_fails_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grace_a, "shared_data_dir", lambda: None)
    (check,) = grace_a.run("quick")
    assert not check.passed
    assert "VINSAT_DATA" in str(check.threshold)
