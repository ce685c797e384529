"""What the globe shows, as CZML: satellite and path, 3-sigma ellipsoid, footprints, landmarks."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ellipsoid_intersection, lla_from_ecef
from flightsw.astro.propagate import propagate
from flightsw.astro.rotation import ecef_from_eci
from flightsw.astro.time import Epoch
from flightsw.camera.model import Camera
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.project import ray_from_pixel
from flightsw.camera.quaternion import quaternion_from_rotation
from flightsw.estimate.observations import Observations
from flightsw.estimate.solution import Solution
from groundtools.products.ephemeris import Body, Ephemeris
from groundtools.products.writers import czml_packets

Array = NDArray[np.float64]

SIGMAS = 3.0
LEAST_RADIUS = 1.0  # m: Cesium refuses an ellipsoid without extent
EDGE_POINTS = 6  # of each side of a footprint
MOST_FOOTPRINTS = 300
ELLIPSOID, FOOTPRINT, LANDMARK = [217, 164, 65, 90], [255, 210, 74, 70], [228, 87, 46, 255]


def globe_czml(
    solution: Solution, table: Ephemeris, observations: Observations | None, camera: Camera, name: str
) -> str:
    """Return the document. table : the solution's propagation with covariances; camera : for footprints."""
    named = Ephemeris(
        table.epoch, table.t_s, table.state, table.covariance_t_s, table.covariance, Body(name or "satellite")
    )
    packets = czml_packets(named)
    packets[1].update(ellipsoid_of(table))
    if observations is not None and len(observations):
        packets += [*footprints(solution, observations, camera), *landmarks(observations)]
    return json.dumps(packets, separators=(",", ":"), allow_nan=False) + "\n"


def ellipsoid_of(table: Ephemeris) -> dict[str, Any]:
    """Return orientation and ellipsoid of the satellite's packet: SIGMAS of the position over time."""
    first = table.epoch + float(table.t_s[0])
    t_s = table.covariance_t_s - table.t_s[0]
    to_ecef = ecef_from_eci(table.epoch, table.covariance_t_s)
    turned = to_ecef @ table.covariance[:, :3, :3] @ np.swapaxes(to_ecef, 1, 2)
    radii, axes = _principal(turned)
    # Cesium's quaternion turns the ellipsoid's axes into Earth-fixed ones: x, y, z, w.
    quaternion = _continuous(quaternion_from_rotation(axes))[:, [1, 2, 3, 0]]
    epoch = first.utc_iso()
    return {
        "orientation": {
            "epoch": epoch,
            "unitQuaternion": np.column_stack([t_s, quaternion]).round(9).ravel().tolist(),
        },
        "ellipsoid": {
            "radii": {"epoch": epoch, "cartesian": np.column_stack([t_s, radii]).round(2).ravel().tolist()},
            "material": {"solidColor": {"color": {"rgba": ELLIPSOID}}},
        },
    }


def _principal(covariance: Array) -> tuple[Array, Array]:
    """Return SIGMAS along the principal axes (M, 3), and these as columns (M, 3, 3), in one order."""
    values, vectors = np.linalg.eigh(covariance)
    radii, axes = np.empty_like(values), np.empty_like(vectors)
    previous = np.eye(3)
    for k, (value, vector) in enumerate(zip(values, vectors, strict=True)):
        match = np.abs(previous.T @ vector)
        order = [int(np.argmax(match[0]))]
        rest = [i for i in range(3) if i not in order]
        order += sorted(rest, key=lambda i: -match[1, i])
        axis = vector[:, order] * np.where(np.sum(previous * vector[:, order], axis=0) < 0.0, -1.0, 1.0)
        if np.linalg.det(axis) < 0.0:
            axis[:, 2] = -axis[:, 2]
        axes[k], previous = axis, axis
        radii[k] = SIGMAS * np.sqrt(np.maximum(value[order], 0.0))
    return np.maximum(radii, LEAST_RADIUS), axes


def _continuous(quaternion: Array) -> Array:
    """Return quaternions (M, 4) with signs such that neighbours are close."""
    flips = np.where(np.sum(quaternion[1:] * quaternion[:-1], axis=1) < 0.0, -1.0, 1.0)
    return np.asarray(quaternion * np.cumprod(np.concatenate([[1.0], flips]))[:, None])


def footprints(solution: Solution, observations: Observations, camera: Camera) -> list[dict[str, Any]]:
    """Return what each frame with sightings saw of the ground, at the nadir, as polygons."""
    frames = observations.frame_t_s
    frames = frames[np.linspace(0, len(frames) - 1, min(len(frames), MOST_FOOTPRINTS)).astype(int)]
    start = np.concatenate([np.asarray(solution.r_eci), np.asarray(solution.v_eci)])
    since = frames + (observations.epoch - solution.epoch)
    state = propagate(solution.forces, solution.epoch, start, solution.drag_scale, since).state
    to_ecef = ecef_from_eci(solution.epoch, since)
    r = np.einsum("nij,nj->ni", to_ecef, state[:, :3])
    v = np.einsum("nij,nj->ni", to_ecef, state[:, 3:])
    cam_from_ecef = camera.cam_from_body @ body_from_ecef_nadir(r, v)
    rays = ray_from_pixel(camera, _outline(camera))
    packets = []
    for index, (position, cam) in enumerate(zip(r, cam_from_ecef, strict=True)):
        ground = ellipsoid_intersection(position, rays @ cam)
        lat, lon, _ = lla_from_ecef(ground[np.isfinite(ground).all(axis=1)])
        if len(lat) < 3:
            continue
        degrees = np.column_stack([np.degrees(lon), np.degrees(lat), np.zeros(len(lat))]).round(5)
        packets.append(
            {
                "id": f"frame-{index}",
                "name": (observations.epoch + float(frames[index])).utc_iso(3),
                "polygon": {
                    "positions": {"cartographicDegrees": degrees.ravel().tolist()},
                    "material": {"solidColor": {"color": {"rgba": FOOTPRINT}}},
                },
            }
        )
    return packets


def landmarks(observations: Observations) -> list[dict[str, Any]]:
    """Return one point for each landmark seen."""
    _, rows = np.unique(observations.landmark_id, return_index=True)
    return [
        {
            "id": f"landmark-{observations.landmark_id[row]}",
            "name": str(observations.landmark_id[row]),
            "position": {
                "cartographicDegrees": [
                    round(float(observations.lon_deg[row]), 7), round(float(observations.lat_deg[row]), 7),
                    float(observations.height_m[row]),
                ]
            },
            "point": {"pixelSize": 5, "color": {"rgba": LANDMARK}},
        }
        for row in rows
    ]  # fmt: skip


def _outline(camera: Camera) -> Array:
    """Return pixels around the image's edge, (4 EDGE_POINTS, 2)."""
    along = np.linspace(0.0, 1.0, EDGE_POINTS, endpoint=False)
    zero, one = np.zeros_like(along), np.ones_like(along)
    u = np.concatenate([along, one, 1.0 - along, zero])
    v = np.concatenate([zero, along, one, 1.0 - along])
    return np.column_stack([u * camera.width_px, v * camera.height_px])


def middle_of(table: Ephemeris, epoch: Epoch) -> tuple[float, float]:
    """Return longitude and latitude, deg, below the satellite at one time of the table."""
    state = table.at(epoch, np.zeros(1))
    r = ecef_from_eci(epoch, np.zeros(1))[0] @ state[0, :3]
    lat, lon, _ = lla_from_ecef(r)
    return float(np.degrees(lon)), float(np.degrees(lat))
