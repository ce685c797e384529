"""The frames of the payload's self-test, made again: `python -m vinsat_sim.golden_frames`.

Two of the embedded imagery, of the networks' own camera: Florida from
550 km, and open ocean. Where the camera was is written beside them. Credit: NASA Earth
Observatory (Blue Marble Next Generation), shorelines of GSHHG.
"""

import tomllib
from dataclasses import dataclass

import numpy as np
import simplejpeg

from flightsw.astro.geodesy import ecef_from_lla, geodetic_up
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.files import write_together
from flightsw.runtime.golden.frames import FOLDER, TABLE
from flightsw.vision.preprocess import MODEL_CAMERA
from groundtools.imagery import open_imagery
from vinsat_sim.scene.frame import Scene, render_frame

ALTITUDE = 550e3  # m
QUALITY = 85


@dataclass(frozen=True, slots=True)
class Place:
    """A frame: its name, what it should be found as ("" for nowhere), and the nadir."""

    name: str
    region: str
    lat_deg: float
    lon_deg: float


PLACES = (Place("florida", "17R", 27.6, -81.0), Place("ocean", "", -35.0, -120.0))


def golden_frames() -> dict[str, str | bytes]:
    """Return the files by name."""
    scene = Scene(open_imagery("embedded"))
    files: dict[str, str | bytes] = {}
    lines = ["# Frames of the self-test and where they were taken; vinsat_sim.golden_frames makes them."]
    for place in PLACES:
        lat, lon = np.radians(place.lat_deg), np.radians(place.lon_deg)
        r_ecef = ecef_from_lla(lat, lon, ALTITUDE)
        north = np.array([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
        cam_from_ecef = body_from_ecef_nadir(r_ecef[None], north[None])[0]
        sun = geodetic_up(np.radians(10.0), lon)
        frame = render_frame(scene, MODEL_CAMERA, r_ecef, cam_from_ecef, sun, seed=1)
        files[f"{place.name}.jpg"] = simplejpeg.encode_jpeg(frame, quality=QUALITY)
        x, y, z = (round(float(value), 1) for value in r_ecef)
        lines += ["[[frame]]", f'name = "{place.name}"', f'region = "{place.region}"']
        lines += [f"r_ecef_m = [{x}, {y}, {z}]"]
    text = "\n".join(lines) + "\n"
    tomllib.loads(text)
    return files | {TABLE: text}


if __name__ == "__main__":
    write_together(FOLDER, golden_frames())
