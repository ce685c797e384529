import json
from dataclasses import replace

import numpy as np
import pytest

from flightsw.astro.elements import Elements, state_from_elements
from flightsw.astro.geodesy import lla_from_ecef
from flightsw.astro.propagate import propagate
from flightsw.astro.rotation import ecef_from_eci
from flightsw.astro.time import Epoch
from flightsw.camera.load import load_camera
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.project import observe
from flightsw.camera.quaternion import quaternion_from_rotation
from flightsw.errors import InputError, UsageError
from flightsw.estimate.observations import AttitudeTable, Observations
from flightsw.estimate.residuals import rotation_and_left_jacobian
from flightsw.estimate.sightings import prepare_sightings
from flightsw.runtime.known_case import CAMERA
from groundtools.calibration.app import calibrate_command, camera_text
from groundtools.calibration.inputs import FORCES, ArcFile, landmarks_of
from groundtools.calibration.joint import Arc, calibrate

SIGMA_PX = 1.0


def simulated(rng, shared, *, passes=4, tilted_pass=None):
    """Return one arc's file, an arc that starts near its orbit, and the camera told."""
    turn, _ = rotation_and_left_jacobian(shared[:3])
    k1 = shared[4]
    camera = replace(
        CAMERA, fx_px=CAMERA.fx_px * (1 + shared[3]), fy_px=CAMERA.fy_px * (1 + shared[3]),
        distortion=(CAMERA.distortion[0] + k1, *CAMERA.distortion[1:]),
        cam_from_body=CAMERA.cam_from_body @ turn,
    )  # fmt: skip
    epoch = Epoch.from_utc("2025-06-01T00:00:00Z")
    t_s = np.concatenate([5700.0 * k + np.arange(0.0, 121.0, 20.0) for k in range(passes)])
    state = state_from_elements(Elements(6.95e6, 0.001, 1.6, 0.3, 0.2, 0.5))
    orbit = propagate(FORCES, epoch, state, 1.0, t_s).state
    to_ecef = np.asarray(ecef_from_eci(epoch, t_s)).reshape(-1, 3, 3)
    r, v = (np.einsum("fij,fj->fi", to_ecef, part) for part in (orbit[:, :3], orbit[:, 3:]))
    body = body_from_ecef_nadir(r, v)
    frame = np.repeat(np.arange(len(t_s)), 15)
    lat, lon, _ = lla_from_ecef(r)
    lon_deg = np.degrees(lon[frame]) + rng.uniform(-2.0, 2.0, len(frame))
    lat_deg = np.degrees(lat[frame]) + rng.uniform(-1.0, 1.0, len(frame))

    def built(uv):
        return Observations.build(
            epoch=epoch, t_s=t_s[frame], landmark_id=np.arange(len(frame)).astype(np.str_), lon_deg=lon_deg,
            lat_deg=lat_deg, height_m=np.zeros(len(frame)), uv_px=uv,
            sigma_px=np.full(len(frame), SIGMA_PX),
        )  # fmt: skip

    blank = built(np.zeros((len(frame), 2)))
    of = blank.frame_index
    uv, _, _ = observe(camera, (camera.cam_from_body @ body)[of], r[of], blank.p_ecef)
    uv = uv + SIGMA_PX * rng.standard_normal(uv.shape)
    observations = replace(blank, uv_px=uv)
    told = CAMERA.cam_from_body @ body @ to_ecef
    if tilted_pass is not None:
        wrong, _ = rotation_and_left_jacobian(np.radians([0.1, 0.05, 0.0]))
        here = (t_s > 5700.0 * tilted_pass - 60.0) & (t_s < 5700.0 * tilted_pass + 600.0)
        told[here] = wrong @ told[here]
    table = AttitudeTable(epoch, t_s, quaternion_from_rotation(told), np.full(len(t_s), 1e-6))
    file = ArcFile("arc", observations, table)
    sightings = prepare_sightings(observations, CAMERA, table)
    sightings = sightings.select(np.isfinite(sightings.uv_px).all(axis=1))
    names = landmarks_of([file]).landmark_id
    number = {name: k for k, name in enumerate(names)}
    ids = observations.landmark_id[sightings.row]
    x = np.concatenate([state + np.array([300.0, -200.0, 250.0, 0.2, -0.3, 0.1]), [1.0]])
    return file, Arc("arc", sightings, 0.0, x, np.array([number[i] for i in ids]))


SHARED = np.array([2e-3, -1e-3, 1.5e-3, 2e-3, 0.01])


@pytest.mark.verifies("CAL-001")
def test_the_camera_is_found_within_its_covariance(rng):
    file, arc = simulated(rng, SHARED)
    found = calibrate([arc], landmarks_of([file]).p_ecef, CAMERA, forces=FORCES)
    assert found.converged
    assert not found.left_out
    assert np.all(np.abs(found.shared - SHARED) < 4.0 * found.sigma)
    assert found.sigma[3] < 1e-3
    assert found.noise == pytest.approx(
        0.95, abs=0.15
    )  # every landmark is seen once: its prior takes a share
    camera = found.camera(CAMERA)
    assert camera.fx_px == pytest.approx(CAMERA.fx_px * (1.0 + found.shared[3]))


@pytest.mark.verifies("CAL-002")
def test_a_pass_that_contradicts_the_others_is_named_and_left_out(rng):
    file, arc = simulated(rng, SHARED, passes=5, tilted_pass=2)
    found = calibrate([arc], landmarks_of([file]).p_ecef, CAMERA, forces=FORCES)
    assert [(out.one_pass, "contradicts" in out.reason) for out in found.left_out] == [(2, True)]
    assert np.all(np.abs(found.shared - SHARED) < 4.0 * found.sigma)


@pytest.mark.verifies("CAL-003")
def test_what_a_single_frame_cannot_tell_is_said(rng):
    file, arc = simulated(rng, SHARED, passes=1)
    arc = arc.only(arc.sightings.frame == 0)
    found = calibrate([arc], landmarks_of([file]).p_ecef, CAMERA, forces=FORCES)
    assert "focal" in found.unobserved() or "mounting_y_rad" in found.unobserved()


def test_a_landmark_at_two_places_is_named(rng):
    file, _ = simulated(rng, SHARED, passes=1)
    other = replace(file, observations=replace(file.observations, lon_deg=file.observations.lon_deg + 1.0))
    with pytest.raises(ValueError, match="two places"):
        landmarks_of([file, other])


def test_the_camera_file_reads_back(tmp_path):
    path = tmp_path / "cam.toml"
    path.write_text(camera_text(CAMERA), encoding="utf-8")
    back = load_camera(path)
    assert back.fx_px == CAMERA.fx_px
    assert np.allclose(back.cam_from_body, CAMERA.cam_from_body)


def test_nothing_is_written_over_and_a_missing_attitude_is_named(tmp_path):
    camera, arc, out = tmp_path / "cam.toml", tmp_path / "arc", tmp_path / "out"
    camera.write_text(camera_text(CAMERA), encoding="utf-8")
    arc.mkdir()
    with pytest.raises(InputError, match=r"attitude\.csv"):
        calibrate_command([arc], camera=camera, out=out)
    out.mkdir()
    (out / "camera.toml").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="never written over"):
        calibrate_command([arc], camera=camera, out=out)
    assert (out / "camera.toml").read_text() == "mine"


@pytest.mark.verifies("CAL-001")
def test_the_command_goes_from_files_to_files(tmp_path, rng, capsys):
    from flightsw.runtime.tables import rows_of, write_observations

    file, _ = simulated(rng, SHARED)
    camera, arc, out = tmp_path / "cam.toml", tmp_path / "arc", tmp_path / "out"
    camera.write_text(camera_text(CAMERA), encoding="utf-8")
    arc.mkdir()
    write_observations(arc / "observations.csv", rows_of(file.observations))
    table = file.attitude
    lines = ["time_utc,qw,qx,qy,qz,sigma_deg"]
    lines += [
        ",".join([(table.epoch + float(t)).utc_iso(), *(repr(float(x)) for x in q), "0.0001"])
        for t, q in zip(table.t_s, table.q)
    ]
    (arc / "attitude.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    before = camera.read_text()
    assert calibrate_command([arc], camera=camera, out=out) == 0
    report = json.loads((out / "calibration.json").read_text())
    assert abs(report["focal_percent"] - 0.2) < 4.0 * report["focal_sigma_percent"]
    assert camera.read_text() == before
    assert load_camera(out / "camera.toml").fx_px != CAMERA.fx_px
    assert "passes" in capsys.readouterr().out
