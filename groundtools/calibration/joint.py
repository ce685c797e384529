"""Bundle adjustment over passes: one camera, many arcs, the landmarks' corrections.

Unknowns
    of every arc    [r, v] at its epoch and the drag scale, hard dynamics
    shared          the mounting's error (rotation vector, body axes, right of cam_from_body),
                    the focal length's relative error f, radial distortion k1
    of a landmark   a shift to the east and north, m
Residuals are the flight program's, whitened by the detector's sigma and the star tracker's;
weights are Barron's, by iteration. Landmarks are eliminated (Schur): with G unknowns of arcs
and camera, S = H_gg - sum_l W_l V_l^-1 W_l'. The covariance is S^-1 times the measured noise.

A pass contradicts the others when freeing its own mounting error would lower the cost by
more than chance: chi2 = g' V^-1 g, 3 degrees of freedom. It is named and left out, the worst
first, never averaged in.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import lla_from_ecef
from flightsw.astro.propagate import Forces
from flightsw.camera.model import Camera
from flightsw.estimate.orbit_fit import UNIT, states_at
from flightsw.estimate.residuals import camera_residual, rotation_and_left_jacobian
from flightsw.estimate.robust import FINAL_SHAPE, barron_weight, sigma_from_norms
from flightsw.estimate.sightings import Sightings

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

ARC = 7  # unknowns of an arc
SHARED = ("mounting_x_rad", "mounting_y_rad", "mounting_z_rad", "focal", "k1")
SHARED_UNIT = np.array([1e-3, 1e-3, 1e-3, 1e-3, 1e-2])
STATE_SIGMA = np.array([5e6, 5e6, 5e6, 4e3, 4e3, 4e3, 1.0])  # m, m/s: any low orbit; drag about 1
KERNEL_SIGMAS = 3.0  # scale of the robust kernel
LEAST_SIGMA = 0.02  # of the whitened residual
ITERATIONS, SETTLED = 25, 1e-4  # of a unit
CONTRADICTS = 30.0  # chi2 of 3 degrees of freedom: one good pass in 700,000
MOST_LEFT_OUT = 1.0 / 3.0  # of the passes
LEAST_ROWS = 8  # of a pass


@dataclass(frozen=True, slots=True)
class Arc:
    """One arc's sightings, with given attitude, and an orbit to start from: x (7,) at t_s.

    name : the file it is from; landmark (N,) : index into the landmarks of all arcs;
    sightings.pass_index counts the arc's own passes.
    """

    name: str
    sightings: Sightings
    t_s: float
    x: Array
    landmark: IntArray

    @property
    def passes(self) -> IntArray:
        """The pass of each detection (N,), from 0."""
        return self.sightings.pass_index[self.sightings.frame]

    def without(self, one_pass: int) -> "Arc":
        """Return the arc without a pass; the others keep their numbers."""
        return self.only(self.passes != one_pass)

    def only(self, keep: BoolArray) -> "Arc":
        """Return the arc with the detections of a mask (N,)."""
        return replace(self, sightings=self.sightings.select(keep), landmark=self.landmark[keep])


@dataclass(frozen=True, slots=True, kw_only=True)
class Beliefs:
    """1 sigma before: mounting per axis, rad; focal length, relative; k1; landmarks per axis, m."""

    mounting: float = float(np.radians(0.5))
    focal: float = 0.01
    k1: float = 0.05
    landmark: float = 50.0

    def shared(self) -> Array:
        """Return the sigmas of the shared unknowns (5,)."""
        return np.array([self.mounting] * 3 + [self.focal, self.k1])


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A pass that was not used, and why."""

    arc: str
    one_pass: int
    detections: int
    reason: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """shared (5,) in the order of SHARED, covariance (5, 5); shift_m (L, 2) east and north and
    its sigma_m (L, 2); noise : measured over stated, of a whitened residual; converged.
    """

    shared: Array
    covariance: Array
    shift_m: Array
    sigma_m: Array
    noise: float
    converged: bool
    passes: int
    detections: int
    left_out: tuple[LeftOut, ...]
    before: Beliefs

    @property
    def sigma(self) -> Array:
        """1 sigma of the shared unknowns."""
        return np.sqrt(np.diag(self.covariance))

    def unobserved(self) -> tuple[str, ...]:
        """Return the shared unknowns of which the passes told less than half of what was known."""
        told = self.sigma / self.before.shared()
        return tuple(name for name, ratio in zip(SHARED, told) if ratio > 0.5)

    def camera(self, nominal: Camera) -> Camera:
        """Return the calibrated camera."""
        turn, _ = rotation_and_left_jacobian(self.shared[:3])
        k1, *others = nominal.distortion
        scale = 1.0 + float(self.shared[3])
        return replace(
            nominal, fx_px=nominal.fx_px * scale, fy_px=nominal.fy_px * scale,
            distortion=(k1 + float(self.shared[4]), *others), cam_from_body=nominal.cam_from_body @ turn,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Point:
    """Where an iteration stands."""

    x: list[Array]
    shared: Array
    shift: Array


@dataclass(frozen=True, slots=True)
class _Seen:
    """Whitened residuals of an arc (N, 2) and their Jacobians, in units: by arc (N, 2, 7), by
    shared (N, 2, 5), by landmark (N, 2, 2) per m; weights (N,).
    """

    e: Array
    by_arc: Array
    by_shared: Array
    by_landmark: Array


def calibrate(
    arcs: list[Arc], p_ecef: Array, camera: Camera, *, forces: Forces, before: Beliefs = Beliefs()
) -> Calibration:
    """Return the calibration of `camera` from arcs; p_ecef (L, 3), m : the landmarks.

    Passes that contradict the rest are left out and named. Raises ValueError without arcs.
    """
    if not arcs:
        raise ValueError("a calibration needs at least one arc")
    axes = _east_north(p_ecef)
    left_out: list[LeftOut] = []
    arcs = [_without_small_passes(arc, left_out) for arc in arcs]
    arcs = [arc for arc in arcs if len(arc.sightings)]
    total = sum(len(np.unique(arc.passes)) for arc in arcs)
    point = None
    while True:
        point, fit = _fit(arcs, axes, camera, forces, before, point)
        worst = max(_contradictions(arcs, axes, camera, forces, point, fit), default=None)
        used = sum(len(np.unique(arc.passes)) for arc in arcs)
        if worst is None or worst[0] < CONTRADICTS or used - 1 < (1.0 - MOST_LEFT_OUT) * total:
            break
        chi2, k, one_pass = worst
        count = int(np.sum(arcs[k].passes == one_pass))
        reason = f"contradicts the others: chi2 {chi2:.0f} of 3 degrees of freedom"
        left_out.append(LeftOut(arcs[k].name, one_pass, count, reason))
        arcs[k] = arcs[k].without(one_pass)
        keep = [i for i, arc in enumerate(arcs) if len(arc.sightings)]
        arcs, point = [arcs[i] for i in keep], replace(point, x=[point.x[i] for i in keep])
    size = ARC * len(arcs)
    unit = SHARED_UNIT
    covariance = fit.covariance[size:, size:] * np.outer(unit, unit)
    return Calibration(
        point.shared, covariance, point.shift, fit.sigma_m, fit.noise, fit.converged, used,
        sum(len(arc.sightings) for arc in arcs), tuple(left_out), before,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Fit:
    covariance: Array
    sigma_m: Array
    noise: float
    converged: bool


def _without_small_passes(arc: Arc, left_out: list[LeftOut]) -> Arc:
    for one_pass in np.unique(arc.passes):
        count = int(np.sum(arc.passes == one_pass))
        if count < LEAST_ROWS:
            left_out.append(LeftOut(arc.name, int(one_pass), count, f"has under {LEAST_ROWS} detections"))
            arc = arc.without(int(one_pass))
    return arc


def _east_north(p_ecef: Array) -> Array:
    """Return the east and north unit vectors at points, (L, 3, 2)."""
    lat, lon, _ = lla_from_ecef(p_ecef)
    east = np.stack([-np.sin(lon), np.cos(lon), np.zeros_like(lon)], axis=1)
    north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)], axis=1)
    return np.stack([east, north], axis=2)


def _seen(arc: Arc, x: Array, point: _Point, axes: Array, camera: Camera, forces: Forces) -> _Seen:
    """Return what an arc sees, linearised."""
    s = arc.sightings
    full = np.zeros(12)
    full[:7] = x
    state, stm = states_at(s, forces, arc.t_s, full)
    to_eci = np.swapaxes(s.pointing.ecef_from_eci[s.frame], 1, 2) @ axes[arc.landmark]
    p_eci = s.p_eci + np.einsum("nij,nj->ni", to_eci, point.shift[arc.landmark])

    def residual(k1: float):
        k_nominal, *others = camera.distortion
        bent = replace(camera, distortion=(k_nominal + k1, *others))
        return camera_residual(
            bent, s.pointing, state, point.shared[:3], p_eci, s.uv_px, s.frame,
            focal=float(point.shared[3]), late_s=s.late_s,
        )  # fmt: skip

    found = residual(float(point.shared[4]))
    # The projection is linear in k1: this difference is exact.
    by_k1 = residual(float(point.shared[4]) + 1e-2).e - found.e
    shared = np.concatenate([found.by_offset, found.by_focal[:, :, None], by_k1[:, :, None] / 1e-2], axis=2)
    sigma = s.sigma_px[:, None, None]
    by_arc = found.by_state @ stm[s.frame] * UNIT[:ARC] / sigma
    by_landmark = found.by_landmark @ to_eci / sigma
    parts = (found.e / sigma[:, :, 0], by_arc, shared * SHARED_UNIT / sigma, by_landmark)
    return _Seen(*(np.nan_to_num(part) for part in parts))


def _fit(
    arcs: list[Arc], axes: Array, camera: Camera, forces: Forces, before: Beliefs, point: _Point | None
) -> tuple[_Point, _Fit]:
    """Return the robust optimum and what it is good for."""
    if point is None:
        point = _Point([arc.x.copy() for arc in arcs], np.zeros(len(SHARED)), np.zeros((len(axes), 2)))
    start, converged = point, False
    for _ in range(ITERATIONS):
        seen = [_seen(arc, x, point, axes, camera, forces) for arc, x in zip(arcs, point.x)]
        norms = np.concatenate([np.hypot(s.e[:, 0], s.e[:, 1]) for s in seen])
        noise = sigma_from_norms(norms, floor=LEAST_SIGMA)
        scale = KERNEL_SIGMAS * noise
        weights = [
            barron_weight(np.hypot(s.e[:, 0], s.e[:, 1]), shape=FINAL_SHAPE, scale=scale) * scale**2
            for s in seen
        ]
        step, shift, covariance, sigma_m = _step(arcs, seen, weights, noise, point, start, before)
        point = _Point(
            [x + step[ARC * k : ARC * (k + 1)] * UNIT[:ARC] for k, x in enumerate(point.x)],
            point.shared + step[ARC * len(arcs) :] * SHARED_UNIT,
            point.shift + shift,
        )
        if float(np.max(np.abs(step))) < SETTLED:
            converged = True
            break
    return point, _Fit(covariance, sigma_m, noise, converged)


def _step(
    arcs: list[Arc], seen: list[_Seen], weights: list[Array], noise: float, point: _Point, start: _Point,
    before: Beliefs,
) -> tuple[Array, Array, Array, Array]:  # fmt: skip
    """Return the step of arcs and camera (G,), of landmarks (L, 2), the covariance (G, G), in
    units, and the landmarks' sigma (L, 2), m.
    """
    count, own = len(arcs), len(SHARED)
    size, marks = ARC * count + own, len(point.shift)
    h, g = np.zeros((size, size)), np.zeros(size)
    v, w, gl = np.zeros((marks, 2, 2)), np.zeros((marks, size, 2)), np.zeros((marks, 2))
    for k, (arc, s, weight) in enumerate(zip(arcs, seen, weights)):
        index = np.concatenate([np.arange(ARC * k, ARC * (k + 1)), np.arange(ARC * count, size)])
        j = np.concatenate([s.by_arc, s.by_shared], axis=2)
        factor = (weight / noise**2)[:, None]
        rows, pulled = j.reshape(-1, len(index)), (factor * s.e)
        h[np.ix_(index, index)] += rows.T @ (np.repeat(factor, 2, axis=1).reshape(-1, 1) * rows)
        g[index] += rows.T @ pulled.reshape(-1)
        jl = factor[:, :, None] * s.by_landmark
        np.add.at(v, arc.landmark, np.swapaxes(jl, 1, 2) @ s.by_landmark)
        np.add.at(gl, arc.landmark, np.einsum("nij,ni->nj", s.by_landmark, pulled))
        cross = np.zeros((len(s.e), size, 2))
        cross[:, index] = np.swapaxes(j, 1, 2) @ jl
        np.add.at(w, arc.landmark, cross)
        prior = (UNIT[:ARC] / STATE_SIGMA) ** 2
        own_index = index[:ARC]
        h[own_index, own_index] += prior
        g[own_index] += prior * (point.x[k] - start.x[k]) / UNIT[:ARC]
    prior = (SHARED_UNIT / before.shared()) ** 2
    h[range(size - own, size), range(size - own, size)] += prior
    g[size - own :] += prior * point.shared / SHARED_UNIT
    v += np.eye(2) / before.landmark**2
    gl += point.shift / before.landmark**2
    inverse = np.linalg.inv(v)
    wv = w @ inverse
    schur = h - np.einsum("lik,ljk->ij", wv, w)
    covariance = np.linalg.inv(schur)
    step = -covariance @ (g - np.einsum("lik,lk->i", wv, gl))
    shift = -np.einsum("lij,lj->li", inverse, gl + np.einsum("lgk,g->lk", w, step))
    spread = inverse + np.swapaxes(wv, 1, 2) @ covariance @ wv
    return step, shift, covariance, np.sqrt(np.einsum("lii->li", spread))


def _contradictions(
    arcs: list[Arc], axes: Array, camera: Camera, forces: Forces, point: _Point, fit: _Fit
) -> list[tuple[float, int, int]]:
    """Return (chi2, arc, pass) of every pass, of a mounting error of its own."""
    out = []
    scale = KERNEL_SIGMAS * fit.noise
    for k, arc in enumerate(arcs):
        s = _seen(arc, point.x[k], point, axes, camera, forces)
        weight = barron_weight(np.hypot(s.e[:, 0], s.e[:, 1]), shape=FINAL_SHAPE, scale=scale) * scale**2
        factor = (weight / fit.noise**2)[:, None]
        for one_pass in np.unique(arc.passes):
            rows = arc.passes == one_pass
            j, f = s.by_shared[rows, :, :3], factor[rows]
            g = np.einsum("nij,ni->j", j, f * s.e[rows])
            information = np.einsum("nij,nik->jk", f[:, :, None] * j, j)
            out.append((float(g @ np.linalg.solve(information + 1e-9 * np.eye(3), g)), k, int(one_pass)))
    return out
