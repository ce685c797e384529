"""Gravity of the Earth: spherical harmonics for flight, J2 for the first guess.

With Cunningham's solid harmonics V_nm, W_nm (recursions of Montenbruck & Gill, Satellite
Orbits, eqs. 3.29-3.31) the potential is linear in them,
    U = GM/R sum C_nm V_nm + S_nm W_nm,
and so is every derivative, one degree higher each time (eq. 3.33 written as an operation
on the coefficients). Acceleration and gradient are therefore two matrices, made once,
times one column of V, W a point: exact derivatives at the price of one matrix product.
The harmonics are not normalised, which is sound in double precision to degree ~60.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

GM_EARTH = 3.986_004_415e14  # m^3/s^2, EGM2008
R_EARTH = 6_378_136.3  # m, reference radius of EGM2008
J2 = 1.082_626_173_852_223e-3  # -sqrt(5) C20 of EGM2008, tide free
Z_AXIS = np.array([0.0, 0.0, 1.0])
MAX_DEGREE = 20  # of the bundled coefficients
CHUNK = 512  # points evaluated together: their harmonics fit a 2 MB cache


@dataclass(frozen=True, slots=True, eq=False)
class GravityField:
    """A field to one degree and order.

    gm : m^3/s^2; radius : m; degree; c, s (degree+1, degree+1) : fully normalised
    coefficients; first (3, 2P), second (9, 2P) : unnormalised coefficients of the three
    first and nine second derivatives, for P harmonics to degree + 2.
    """

    gm: float
    radius: float
    degree: int
    c: Array
    s: Array
    first: Array
    second: Array


@lru_cache(maxsize=8)
def load_gravity(degree: int = MAX_DEGREE) -> GravityField:
    """Return EGM2008 truncated to `degree` (0 to 20) and the same order."""
    if not 0 <= degree <= MAX_DEGREE:
        raise ValueError(f"degree must be 0 to {MAX_DEGREE}, got {degree}")
    text = (files("flightsw.astro") / "data" / "egm2008_20.csv").read_text(encoding="utf-8")
    c, s = np.zeros((2, degree + 1, degree + 1))
    for line in text.splitlines():
        if line[0].isdigit():
            n, m, c_nm, s_nm = line.split(",")
            if int(n) <= degree:
                c[int(n), int(m)], s[int(n), int(m)] = float(c_nm), float(s_nm)
    return gravity_field(GM_EARTH, R_EARTH, c, s)


def gravity_field(gm: float, radius: float, c: Array, s: Array) -> GravityField:
    """Return a field from fully normalised coefficients c, s (degree+1, degree+1)."""
    degree = len(c) - 1
    norm = _normalisation(degree)
    potential = np.zeros((2, degree + 3, degree + 3))
    potential[:, : degree + 1, : degree + 1] = np.stack([c, s]) * norm
    first = [_differentiated(potential, axis) for axis in range(3)]
    second = [_differentiated(first[i], j) for i in range(3) for j in range(3)]
    scale = gm / radius**2
    return GravityField(
        gm, radius, degree, c, s,
        np.stack([_packed(f) for f in first]) * scale,
        np.stack([_packed(f) for f in second]) * (scale / radius),
    )  # fmt: skip


def gravity_acceleration(field: GravityField, r_ecef: Array) -> Array:
    """Return the acceleration (N, 3), m/s^2, at points (N, 3) in m, ecef axes."""
    return _evaluate(field, r_ecef, field.first, field.degree + 1)


def gravity_gradient(field: GravityField, r_ecef: Array) -> Array:
    """Return d(acceleration)/d(r) (N, 3, 3), 1/s^2, at points (N, 3) in m, ecef axes."""
    return _evaluate(field, r_ecef, field.second, field.degree + 2).reshape(-1, 3, 3)


def gravity_with_gradient(field: GravityField, r_ecef: Array) -> tuple[Array, Array]:
    """Return acceleration (N, 3) and gradient (N, 3, 3) together, sharing the harmonics."""
    both = _evaluate(field, r_ecef, np.concatenate([field.first, field.second]), field.degree + 2)
    return both[:, :3], both[:, 3:].reshape(-1, 3, 3)


def j2_acceleration(r: Array, pole: Array = Z_AXIS) -> Array:
    """Return central and J2 acceleration (..., 3), m/s^2, at r (..., 3), m.

    pole (3,) : unit vector of the rotation axis in the axes of r. With k = 3/2 J2 (R/r)^2
    and s = (z/r)^2 :  a = -GM/r^3 [r (1 + k (1 - 5 s)) + 2 k z e_z]
    (Vallado, Fundamentals of Astrodynamics, ch. 8). The 5 acts on z^2, not on x^2.
    """
    r2 = np.einsum("...i,...i->...", r, r)
    z = r @ pole
    central = -GM_EARTH / (r2 * np.sqrt(r2))
    k = (1.5 * J2 * R_EARTH**2) / r2
    along = central * (1.0 + k * (1.0 - 5.0 * z * z / r2))
    return np.asarray(along[..., None] * r + (2.0 * central * k * z)[..., None] * pole)


def j2_gradient(r: Array, pole: Array = Z_AXIS) -> Array:
    """Return d(j2_acceleration)/d(r) (..., 3, 3), 1/s^2, at r (..., 3), m."""
    r2 = np.einsum("...i,...i->...", r, r)
    z = r @ pole
    central = -GM_EARTH / (r2 * np.sqrt(r2))
    k = (1.5 * J2 * R_EARTH**2) / r2
    s = z * z / r2
    # a = along r + across e_z, so da/dr = along I + r (d along) + e_z (d across).
    d_along = (-central / r2 * (3.0 + k * (5.0 - 35.0 * s)))[..., None] * r
    d_along -= (10.0 * central * k * z / r2)[..., None] * pole
    d_across = (-10.0 * central * k * z / r2)[..., None] * r + (2.0 * central * k)[..., None] * pole
    out = r[..., :, None] * d_along[..., None, :] + pole[:, None] * d_across[..., None, :]
    out += (central * (1.0 + k * (1.0 - 5.0 * s)))[..., None, None] * np.eye(3)
    return np.asarray(out)


def _normalisation(degree: int) -> Array:
    """Return sqrt((2 - d_0m)(2n + 1)(n - m)!/(n + m)!), unnormalised = this x normalised."""
    norm = np.zeros((degree + 1, degree + 1))
    for n in range(degree + 1):
        ratio = 1.0  # (n - m)!/(n + m)!
        for m in range(n + 1):
            if m:
                ratio /= (n + m) * (n - m + 1)
            norm[n, m] = np.sqrt((1.0 if m == 0 else 2.0) * (2 * n + 1) * ratio)
    return norm


def _differentiated(coefficients: Array, axis: int) -> Array:
    """Return the coefficients (2, D, D) of R times the derivative of sum C V + S W.

    Montenbruck & Gill eq. 3.33, one term for each harmonic it makes. Rows beyond the
    last degree fall away, so the array must hold one degree more than its content.
    """
    c, s = coefficients
    out = np.zeros_like(coefficients)
    for n in range(len(c) - 1):
        for m in range(n + 1):
            if axis == 2:
                out[:, n + 1, m] -= (n - m + 1) * coefficients[:, n, m]
                continue
            # d/dx keeps (C, S); d/dy turns them by a quarter, with the sign of the step in m.
            up = (c[n, m], s[n, m]) if axis == 0 else (-s[n, m], c[n, m])
            down = up if axis == 0 else (-up[0], -up[1])
            half = 1.0 if m == 0 else 0.5
            out[0, n + 1, m + 1] -= half * up[0]
            out[1, n + 1, m + 1] -= half * up[1]
            if m > 0:
                factor = 0.5 * (n - m + 2) * (n - m + 1)
                out[0, n + 1, m - 1] += factor * down[0]
                out[1, n + 1, m - 1] += factor * down[1]
    out[1, :, 0] = 0.0  # W_n0 = 0
    return out


def _packed(coefficients: Array) -> Array:
    """Return (2, D, D) as the row (D (D + 1),) in the order of `_harmonics`."""
    rows, columns = np.tril_indices(coefficients.shape[1])
    return np.asarray(coefficients[:, rows, columns].T.reshape(-1))


def _evaluate(field: GravityField, r: Array, rows: Array, degree: int) -> Array:
    """Return rows @ harmonics, (N, len(rows)), for harmonics to `degree`, in chunks."""
    used = (degree + 1) * (degree + 2)
    rows = np.ascontiguousarray(rows[:, :used])
    out = np.empty((len(r), len(rows)))
    for start in range(0, len(r), CHUNK):
        part = r[start : start + CHUNK]
        out[start : start + CHUNK] = (rows @ _harmonics(part, field.radius, degree).reshape(used, -1)).T
    return out


def _harmonics(r: Array, radius: float, degree: int) -> Array:
    """Return V_nm, W_nm, (P, 2, N), the pair n, m in row n (n + 1)/2 + m."""
    step_1, step_2 = _recursion(degree)
    scaled = r.T * (radius / np.sum(r * r, axis=1))
    x, y, z = scaled
    rho = radius**2 / np.sum(r * r, axis=1)
    out = np.empty(((degree + 1) * (degree + 2) // 2, 2, len(r)))
    out[0, 0], out[0, 1] = np.sqrt(rho), 0.0
    for n in range(1, degree + 1):
        row, above, above_2 = n * (n + 1) // 2, n * (n - 1) // 2, (n - 1) * (n - 2) // 2
        np.multiply(out[above:row], step_1[n] * z, out=out[row : row + n])
        if n > 1:
            out[row : row + n - 1] -= (step_2[n] * rho) * out[above_2:above]
        v, w = out[row - 1]
        out[row + n, 0] = (2 * n - 1) * (x * v - y * w)
        out[row + n, 1] = (2 * n - 1) * (x * w + y * v)
    return out


@lru_cache(maxsize=8)
def _recursion(degree: int) -> tuple[list[Array], list[Array]]:
    """Return for each n the factors of V_{n-1,m} (m < n) and V_{n-2,m} (m < n - 1), (.., 1, 1)."""
    first, second = [np.empty(0)], [np.empty(0)]
    for n in range(1, degree + 1):
        m = np.arange(n, dtype=float)[:, None, None]
        first.append((2 * n - 1) / (n - m))
        second.append(((n + m - 1) / (n - m))[: n - 1])
    return first, second
