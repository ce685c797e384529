"""Render photographs as a camera on a space station takes them, for the tutorial.

photos.py FOLDER writes photo*.jpg, frames.csv (file, time) and, beside the folder,
positions.csv: where the station was (ecef, m, and inertial velocity in ecef axes, m/s).
The camera looks 9 deg off the nadir, mostly along the track; nothing in FOLDER says so.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.astro.time import Epoch
from flightsw.camera.model import Camera
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.pose_fit import rotation_from_vector
from groundtools.imagery import open_imagery
from vinsat_sim.clouds import cloud_field
from vinsat_sim.scene.frame import Scene, encode_jpeg, render_frame
from vinsat_sim.truth import Truth, fly_truth

CAMERA = Camera(2028, 1520, 1613.0, 1613.0, 1014.0, 760.0)
MOUNTING = rotation_from_vector(np.radians([[1.0, -9.0, 2.0]]))[0]
START = Epoch.from_utc("2025-06-21T10:00:00Z")
LAT, LON = np.radians(40.5), np.radians(8.0)  # at the start
ALTITUDE, SPEED, INCLINATION = 420e3, 7.66e3, np.radians(51.64)


def fly() -> Truth:
    """Return ten instants, 12 s apart, of an ascending pass from Sardinia."""
    here = ecef_from_lla(LAT, LON, ALTITUDE)
    east = np.array([-np.sin(LON), np.cos(LON), 0.0])
    north = np.cross(here / np.linalg.norm(here), east)
    azimuth = np.arcsin(np.cos(INCLINATION) / np.cos(LAT))
    there = SPEED * (np.sin(azimuth) * east + np.cos(azimuth) * north)
    turn = fly_truth(START, np.r_[here, there], np.zeros(1)).ecef_from_eci[0].T
    return fly_truth(START, np.r_[turn @ here, turn @ there], 12.0 * np.arange(10))


def main(folder: Path) -> None:
    """Write the photographs."""
    folder.mkdir(parents=True)
    truth = fly()
    scene = Scene(open_imagery("embedded"), cloud_field(3, cover=0.25))
    times = [["file", "time_utc"]]
    for k, t_s in enumerate(truth.t_s):
        aim = MOUNTING @ body_from_ecef_nadir(truth.r_ecef[k], truth.v_inertial_ecef[k])
        pixels = render_frame(scene, CAMERA, truth.r_ecef[k], aim, truth.sun_ecef[k], seed=k)
        name = f"photo{k:03d}.jpg"
        (folder / name).write_bytes(encode_jpeg(pixels, 90))
        times.append([name, (START + float(t_s)).utc_iso(digits=3)])
    with open(folder / "frames.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(times)
    known = np.hstack([truth.t_s[:, None], truth.r_ecef, truth.v_inertial_ecef])
    np.savetxt(folder.parent / "positions.csv", known, delimiter=",", header="t_s,x,y,z,vx,vy,vz")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
