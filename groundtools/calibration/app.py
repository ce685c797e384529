"""Calibrate the camera on orbit, from many passes.

`vinsat calibrate runs/a runs/b --camera cam.toml --out calibrated` reads observations.csv and
attitude.csv (cam_from_eci, of the star tracker) of every folder and writes a new camera file,
the landmarks' corrections, and what all that is good for.
"""

import csv
import io
import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import App, Parameter

from flightsw.camera.load import load_camera
from flightsw.camera.model import Camera
from flightsw.errors import EXIT_NOT_DETERMINED, EXIT_OK, InputError, UsageError
from flightsw.files import prepare_folder, write_together
from flightsw.runtime.tables import read_attitude, read_observations
from groundtools.calibration.inputs import (
    FORCES,
    ArcFile,
    Landmarks,
    folder_files,
    landmarks_of,
    started,
)
from groundtools.calibration.joint import SHARED, Beliefs, Calibration, LeftOut, calibrate

HELP = """Calibrate the camera on orbit: focal length, k1, mounting and landmarks, from many passes.

Every folder holds observations.csv and attitude.csv of one arc of at most a day. The mounting
is told from a star tracker's attitude alone: under nadir pointing without one, a tilt of the
camera and an error of the pointing are the same thing.

For example:

`vinsat calibrate arcs/one arcs/two --camera camera.toml --out calibrated`
"""
app = App(name="calibrate", help=HELP)
CAMERA, LANDMARKS, REPORT = "camera.toml", "landmarks.csv", "calibration.json"


@app.default
def calibrate_command(
    arcs: Annotated[list[Path], Parameter(help="Folders with observations.csv and attitude.csv.")],
    /,
    *,
    camera: Annotated[Path, Parameter(help="The camera file to calibrate; it is not changed.")],
    out: Annotated[Path, Parameter(help="Folder for the results; must not hold earlier ones.")],
    mounting_deg: Annotated[float, Parameter(help="1 sigma of the mounting, before.")] = 0.5,
    focal_percent: Annotated[float, Parameter(help="1 sigma of the focal length, before.")] = 1.0,
    landmark_m: Annotated[float, Parameter(help="1 sigma of the landmarks' places, before.")] = 50.0,
    json_: Annotated[bool, Parameter(name="--json", negative="", help="Print calibration.json.")] = False,
) -> int:
    """Calibrate the camera on orbit, from many passes."""
    for name, value in (
        ("--mounting-deg", mounting_deg),
        ("--focal-percent", focal_percent),
        ("--landmark-m", landmark_m),
    ):
        if not value > 0.0:
            raise UsageError(f"{name} must be positive, got {value:g}")
    for name in (CAMERA, LANDMARKS, REPORT):
        if (out / name).exists():
            raise UsageError(
                f"{out / name} exists: calibrations are never written over; choose another --out"
            )
    before = Beliefs(
        mounting=float(np.radians(mounting_deg)), focal=focal_percent / 100.0, landmark=landmark_m
    )
    nominal = load_camera(camera)
    files = [_read(folder) for folder in arcs]
    try:
        landmarks = landmarks_of(files)
    except ValueError as error:
        raise InputError(str(error), fix="give every landmark one place") from None
    found, left_out = [], []
    for file in files:
        arc, why = started(file, nominal, landmarks, before)
        if arc is None:
            left_out.append(LeftOut(file.name, -1, len(file.observations), why))
        else:
            found.append(arc)
    if not found:
        sys.stderr.write("not determined: " + "; ".join(f"{x.arc}: {x.reason}" for x in left_out) + "\n")
        return EXIT_NOT_DETERMINED
    result = calibrate(found, landmarks.p_ecef, nominal, forces=FORCES, before=before)
    report = report_of(result, tuple(left_out))
    text = json.dumps(report, indent=1) + "\n"
    files_out = {CAMERA: camera_text(result.camera(nominal)), LANDMARKS: landmarks_text(landmarks, result)}
    write_together(prepare_folder(out), {**files_out, REPORT: text})
    sys.stdout.write(text if json_ else _sentence(report) + "\n")
    return EXIT_OK if result.converged else EXIT_NOT_DETERMINED


def _read(folder: Path) -> ArcFile:
    observations, attitude = folder_files(folder)
    if not attitude.is_file():
        fix = "hand in the star tracker's attitude: without it a tilt of the camera is a pointing error"
        raise InputError("is missing", file=attitude, fix=fix)
    return ArcFile(str(folder), read_observations(observations), read_attitude(attitude))


def report_of(result: Calibration, more: tuple[LeftOut, ...]) -> dict[str, object]:
    """Return calibration.json's object."""
    sigma = result.sigma
    return {
        "converged": result.converged,
        "passes": result.passes,
        "detections": result.detections,
        "noise_over_stated": result.noise,
        "mounting_deg": np.degrees(result.shared[:3]).tolist(),
        "mounting_sigma_deg": np.degrees(sigma[:3]).tolist(),
        "focal_percent": 100.0 * result.shared[3],
        "focal_sigma_percent": 100.0 * sigma[3],
        "k1": result.shared[4],
        "k1_sigma": sigma[4],
        "names": list(SHARED),
        "covariance": result.covariance.tolist(),
        "not_observed": list(result.unobserved()),
        "left_out": [
            {"arc": x.arc, "pass": x.one_pass, "detections": x.detections, "reason": x.reason}
            for x in (*more, *result.left_out)
        ],
    }


def _sentence(report: dict) -> str:
    mounting, sigma = report["mounting_deg"], report["mounting_sigma_deg"]
    tilt = ", ".join(f"{m:.4f} +- {s:.4f}" for m, s in zip(mounting, sigma))
    lines = [
        f"{report['passes']} passes, {report['detections']} detections",
        f"mounting {tilt} deg",
        f"focal length {report['focal_percent']:.4f} +- {report['focal_sigma_percent']:.4f} %",
    ]
    if report["not_observed"]:
        lines.append("hardly observed: " + ", ".join(report["not_observed"]))
    lines += [f"left out: {x['arc']} pass {x['pass']}: {x['reason']}" for x in report["left_out"]]
    return "\n".join(lines)


def camera_text(camera: Camera) -> str:
    """Return a camera file."""
    rows = ", ".join("[" + ", ".join(repr(float(x)) for x in row) + "]" for row in camera.cam_from_body)
    keys = ("width_px", "height_px", "fx_px", "fy_px", "cx_px", "cy_px")
    lines = [f"{key} = {getattr(camera, key)!r}" for key in keys]
    lines.append("distortion = [" + ", ".join(repr(float(k)) for k in camera.distortion) + "]")
    lines.append(f"cam_from_body = [{rows}]")
    if camera.line_time_s:
        lines.append(f"line_time_s = {camera.line_time_s!r}")
    return "\n".join(lines) + "\n"


def landmarks_text(landmarks: Landmarks, result: Calibration) -> str:
    """Return the corrected catalogue: places, shifts and their sigma."""
    from flightsw.astro.geodesy import lla_from_ecef
    from groundtools.calibration.joint import _east_north

    moved = landmarks.p_ecef + np.einsum("lij,lj->li", _east_north(landmarks.p_ecef), result.shift_m)
    lat, lon, _ = lla_from_ecef(moved)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        (
            "landmark_id",
            "lon_deg",
            "lat_deg",
            "height_m",
            "east_m",
            "north_m",
            "sigma_east_m",
            "sigma_north_m",
        )
    )
    for k, name in enumerate(landmarks.landmark_id):
        place = (f"{np.degrees(lon[k]):.8f}", f"{np.degrees(lat[k]):.8f}", f"{landmarks.height_m[k]:.2f}")
        figures = (*result.shift_m[k], *result.sigma_m[k])
        table.writerow((name, *place, *(f"{x:.2f}" for x in figures)))
    return text.getvalue()
