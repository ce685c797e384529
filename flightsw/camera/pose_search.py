"""Two-point search: which poses above a region explain many candidates at once?

Straight down, a frame is nearly a similarity of the ground. In complex numbers, with
G = east + i north (azimuthal-equidistant about the region's middle) and
z = (u - cx + i (v - cy)) / f, a camera at height h, yaw psi, above the ground point N has
    G = N + h e^{i psi} conj(z) (1 + h |z|^2 / 2R)
the last factor being the Earth's curvature. Two candidates give h, psi and N; every
other one votes. Wrong classes cannot agree but by chance; tilt (5 deg moves a corner by
33 px against the middle) is left to the 6-DoF fit in `flightsw.camera.pose_gate`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import WGS84_A, ecef_from_lla, geodetic_up, lla_from_ecef
from flightsw.camera.model import Camera

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Indices = NDArray[np.int64]

MIN_BASE_PX = 40.0  # two candidates nearer than this fix neither scale nor yaw
BLOCK = 2048  # hypotheses judged at a time: bounds the memory to a few MB


@dataclass(frozen=True, slots=True)
class Plane:
    """The azimuthal-equidistant plane about a point: axes (3, 3) rows east, north, up."""

    origin_ecef: Array
    axes: Array

    @classmethod
    def about(cls, p_ecef: Array) -> "Plane":
        """Return the plane about the middle of points (K, 3)."""
        lat, lon, _ = lla_from_ecef(p_ecef.mean(axis=0))
        up = geodetic_up(lat, lon)
        east = np.array([-np.sin(lon), np.cos(lon), 0.0])
        return cls(ecef_from_lla(lat, lon), np.stack([east, np.cross(up, east), up]))

    def ground(self, p_ecef: Array) -> Complex:
        """Return east + i north, m, of points (K, 3) near the ground."""
        local = (p_ecef - self.origin_ecef) @ self.axes.T
        flat = local[:, 0] + 1j * local[:, 1]
        chord = np.minimum(np.linalg.norm(local, axis=1), WGS84_A)
        arc = 2.0 * WGS84_A * np.arcsin(0.5 * chord / WGS84_A)
        return np.asarray(flat * arc / np.maximum(np.abs(flat), 1e-3))

    def point(self, ground: Complex) -> tuple[Array, Array]:
        """Return the inverse of `ground`: points on the ellipsoid (M, 3) and their normals."""
        angle = np.abs(ground) / WGS84_A
        unit = ground / np.maximum(np.abs(ground), 1e-3)
        sine = np.sin(angle)
        local = np.stack([sine * unit.real, sine * unit.imag, np.cos(angle) - 1.0], axis=1)
        lat, lon, _ = lla_from_ecef(self.origin_ecef + WGS84_A * local @ self.axes)
        return ecef_from_lla(lat, lon), geodetic_up(lat, lon)


def search(
    camera: Camera,
    uv_px: Array,
    p_ecef: Array,
    *,
    altitude: tuple[float, float],
    tolerance_px: float,
    count: int,
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Return the nadir poses that most candidates agree with, best first.

    uv_px (K, 2) : pixels of a distortion-free camera; p_ecef (K, 3) : the landmark each
    is said to be, m; altitude : lowest and highest, m; count : at most so many poses.
    Returns r_ecef (M, 3) m, cam_from_ecef (M, 3, 3) and who agrees (M, K); poses with
    equal supporters are given once, those with fewer than three not at all.
    """
    plane = Plane.about(p_ecef)
    ground = plane.ground(p_ecef)
    z = np.conj(((uv_px[:, 0] - camera.cx_px) + 1j * (uv_px[:, 1] - camera.cy_px)) / camera.fx_px)
    bend = z * np.abs(z) ** 2 / (2.0 * WGS84_A)
    first, height, turn = _hypotheses(camera, ground, z, bend, altitude)
    parts = [slice(start, start + BLOCK) for start in range(0, len(first), BLOCK)]
    judged = [
        _vote(ground, z, bend, first[part], height[part], turn[part], tolerance_px / camera.fx_px)
        for part in parts
    ]
    if not judged:
        return np.zeros((0, 3)), np.zeros((0, 3, 3)), np.zeros((0, len(uv_px)), bool)
    supporters = np.concatenate([agree for agree, _ in judged])
    chosen = _distinct(np.concatenate([votes for _, votes in judged]), supporters, count)
    i, h = first[chosen], height[chosen]
    nadir = ground[i] - turn[chosen] * h * (z[i] + h * bend[i])
    r_ecef, cam_from_ecef = level_poses(plane, nadir, h, turn[chosen])
    return r_ecef, cam_from_ecef, supporters[chosen]


def _vote(
    ground: Complex, z: Complex, bend: Complex, first: Indices, height: Array, turn: Complex, limit: float
) -> tuple[NDArray[np.bool_], Array]:
    """Return who agrees with each hypothesis (M, K), and its votes (M,); limit in rad.

    Closer agreement counts more, so that equal counts are ordered sensibly.
    """
    h = height[:, None]
    straight = z + h * bend
    seen = turn[:, None] * h * (straight - straight[np.arange(len(first)), first, None])
    miss = np.abs(ground - ground[first, None] - seen) / (limit * h)
    agrees = miss < 1.0
    return agrees, np.where(agrees, 1.0 - 0.5 * miss, 0.0).sum(axis=1)


def _hypotheses(
    camera: Camera, ground: Complex, z: Complex, bend: Complex, altitude: tuple[float, float]
) -> tuple[Indices, Array, Complex]:
    """Return every plausible pair: its first member, height (m) and turn e^{i psi}."""
    first, second = np.triu_indices(len(z), 1)
    base = z[second] - z[first]
    apart = ground[second] - ground[first]
    keep = (np.abs(base) * camera.fx_px > MIN_BASE_PX) & (np.abs(apart) > 1.0)
    first, second, base, apart = first[keep], second[keep], base[keep], apart[keep]
    curve = bend[second] - bend[first]
    height = np.abs(apart) / np.abs(base)
    for _ in range(3):  # a fixed point that gains a factor of 20 a step
        height = np.abs(apart) / np.abs(base + height * curve)
    keep = (height > altitude[0]) & (height < altitude[1])
    first, height = first[keep], height[keep]
    turn = apart[keep] / (height * (base[keep] + height * curve[keep]))
    return first, height, turn / np.abs(turn)


def _distinct(votes: Array, supporters: NDArray[np.bool_], count: int) -> Indices:
    """Return the indices of the best `count` hypotheses with different supporters."""
    best = np.argsort(-votes, kind="stable")[: 8 * count]
    best = best[supporters[best].sum(axis=1) >= 3]
    seen: set[bytes] = set()
    chosen = []
    for index in best:
        key = np.packbits(supporters[index]).tobytes()
        if key not in seen:
            seen.add(key)
            chosen.append(index)
    return np.array(chosen[:count], np.int64)


def level_poses(plane: Plane, nadir: Complex, height: Array, turn: Complex) -> tuple[Array, Array]:
    """Return positions (M, 3) and cam_from_ecef (M, 3, 3) looking straight down."""
    foot, up = plane.point(nadir)
    along = turn.real[:, None] * plane.axes[0] + turn.imag[:, None] * plane.axes[1]
    x_cam = along - np.sum(along * up, axis=1, keepdims=True) * up
    x_cam /= np.linalg.norm(x_cam, axis=1, keepdims=True)
    return foot + height[:, None] * up, np.stack([x_cam, np.cross(-up, x_cam), -up], axis=1)
