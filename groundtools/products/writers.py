"""Files that are only written: STK ephemerides, CZML for globes, ground tracks as GeoJSON."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import lla_from_ecef
from flightsw.astro.time import Epoch
from groundtools.products.ephemeris import Ephemeris
from groundtools.products.frames import ecef_states

Array = NDArray[np.float64]

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TRACK_COLOUR = (53, 224, 192, 255)
LEAD_S = 6_000.0  # of the path ahead of and behind the satellite: about one revolution


def write_stk(ephemeris: Ephemeris) -> str:
    """Return an STK external ephemeris (.e): ICRF, metres, seconds past the scenario epoch."""
    base = ephemeris.epoch + float(ephemeris.t_s[0])
    iso = base.utc_iso(9)
    if ":60" in iso:  # STK has no name for an instant within a leap second
        base = base - 1.0
        iso = base.utc_iso(9)
    day = f"{int(iso[8:10])} {MONTHS[int(iso[5:7]) - 1]} {iso[:4]} {iso[11:].removesuffix('Z')}"
    offset = base - ephemeris.epoch
    lines = [
        "stk.v.11.0",
        "",
        "BEGIN Ephemeris",
        "",
        f"NumberOfEphemerisPoints {len(ephemeris.t_s)}",
        f"ScenarioEpoch {day}",
        "InterpolationMethod Hermite",
        "InterpolationSamplesM1 4",
        "DistanceUnit Meters",
        "CentralBody Earth",
        "CoordinateSystem ICRF",
        "",
        "EphemerisTimePosVel",
        "",
    ]
    for t, state in zip(ephemeris.t_s, ephemeris.state, strict=True):
        r = " ".join(f"{x:.4f}" for x in state[:3])
        v = " ".join(f"{x:.7f}" for x in state[3:])
        lines.append(f"{t - offset:.9f} {r} {v}")
    return "\n".join([*lines, "", "END Ephemeris"]) + "\n"


def write_czml(ephemeris: Ephemeris) -> str:
    """Return a CZML document of the satellite, its path and the clock.

    CZML's INERTIAL frame has the axes of ICRF, which are ours; positions in metres.
    """
    return json.dumps(czml_packets(ephemeris), separators=(",", ":"), allow_nan=False) + "\n"


def czml_packets(ephemeris: Ephemeris) -> list[dict[str, Any]]:
    """Return the packets of `write_czml`, for pages that add their own."""
    first, last = (ephemeris.epoch + float(t) for t in (ephemeris.t_s[0], ephemeris.t_s[-1]))
    interval = f"{first.utc_iso()}/{last.utc_iso()}"
    name = ephemeris.body.name or "satellite"
    samples = np.column_stack([ephemeris.t_s - ephemeris.t_s[0], ephemeris.state[:, :3].round(3)])
    colour = {"rgba": list(TRACK_COLOUR)}
    clock = {"interval": interval, "currentTime": first.utc_iso(), "multiplier": 60, "range": "LOOP_STOP"}
    satellite = {
        "id": "satellite",
        "name": name,
        "availability": interval,
        "position": {
            "epoch": first.utc_iso(),
            "referenceFrame": "INERTIAL",
            "interpolationAlgorithm": "LAGRANGE",
            "interpolationDegree": min(5, len(samples) - 1) or 1,
            "cartesian": samples.ravel().tolist(),
        },
        "point": {"pixelSize": 9, "color": colour},
        "label": {
            "text": name, "font": "13px sans-serif", "pixelOffset": {"cartesian2": [14, 0]},
            "horizontalOrigin": "LEFT",
        },
        "path": {
            "leadTime": LEAD_S, "trailTime": LEAD_S, "width": 1.5, "resolution": 60,
            "material": {"solidColor": {"color": colour}},
        },
    }  # fmt: skip
    return [{"id": "document", "name": name, "version": "1.0", "clock": clock}, satellite]


def write_track(ephemeris: Ephemeris) -> str:
    """Return the ground track as GeoJSON (RFC 7946): lines cut at the date line, heights in m."""
    lines, times = _cut_at_date_line(ephemeris)
    feature = {
        "type": "Feature",
        "geometry": {"type": "MultiLineString", "coordinates": lines},
        "properties": {"name": ephemeris.body.name, "coordTimes": times},
    }
    return json.dumps({"type": "FeatureCollection", "features": [feature]}, allow_nan=False) + "\n"


def ground_track(ephemeris: Ephemeris) -> tuple[Array, Array, Array]:
    """Return longitude and latitude (N,), deg, and height (N,), m, WGS 84, below the samples."""
    lat, lon, height = lla_from_ecef(ecef_states(ephemeris.epoch, ephemeris.t_s, ephemeris.state)[:, :3])
    return np.degrees(lon), np.degrees(lat), height


def _cut_at_date_line(ephemeris: Ephemeris) -> tuple[list[list[list[float]]], list[list[str]]]:
    lon, lat, height = ground_track(ephemeris)
    lines: list[list[list[float]]] = [[]]
    times: list[list[str]] = [[]]

    def add(x: float, y: float, z: float, epoch: Epoch) -> None:
        lines[-1].append([round(x, 7), round(y, 7), round(z, 2)])
        times[-1].append(epoch.utc_iso(3))

    for k, t in enumerate(ephemeris.t_s):
        if k and abs(lon[k] - lon[k - 1]) > 180.0:
            edge = 180.0 if lon[k - 1] > 0.0 else -180.0
            span = (lon[k] - lon[k - 1] + 180.0) % 360.0 - 180.0
            share = (edge - lon[k - 1]) / span if span else 0.0
            y, z = (float(a[k - 1] + share * (a[k] - a[k - 1])) for a in (lat, height))
            between = ephemeris.epoch + float(ephemeris.t_s[k - 1] + share * (t - ephemeris.t_s[k - 1]))
            add(edge, y, z, between)
            lines.append([])
            times.append([])
            add(-edge, y, z, between)
        add(float(lon[k]), float(lat[k]), float(height[k]), ephemeris.epoch + float(t))
    if len(lines[-1]) == 1:  # a line needs two positions
        lines[-1] *= 2
        times[-1] *= 2
    return lines, times
