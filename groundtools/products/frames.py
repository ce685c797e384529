"""TEME, EME2000 and the Earth-fixed frame, to and from GCRF.

TEME, the frame of SGP4, is reached through the Earth-fixed frame: by Vallado et al. (AIAA
2006-6753, app. C) it is the pseudo Earth-fixed frame turned back by Greenwich mean
sidereal time of 1982, so that element sets meet our ITRF where their users do:
    r_teme = R3(-GMST82) W^T r_ecef,  r_ecef = (ecef_from_eci) r_eci
Velocities follow with the turn of the Earth; the frames' own slow motion (precession:
below 0.1 mm/s) is left out. EME2000 differs from GCRF by a constant bias (0.8 m in a low
orbit; IERS Conventions 2010, ch. 5).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.eop import ARCSEC, default_earth_orientation
from flightsw.astro.rotation import OMEGA_EARTH, ecef_from_eci
from flightsw.astro.time import DAY_S, Epoch

Array = NDArray[np.float64]

# Offsets of the mean pole and equinox of J2000, and the sines they mean (arcsec).
_DA0, _XI0, _ETA0 = -0.0146 * ARCSEC, -0.016617 * ARCSEC, -0.0068192 * ARCSEC
_UT1_J2000 = 51_544.5  # MJD


def teme_from_eci(epoch: Epoch, t_s: Array) -> Array:
    """Return the rotation from GCRF to TEME (N, 3, 3) at t_s (N,) seconds past `epoch`."""
    tai_s = epoch.tai_ns / 1e9 + np.asarray(t_s, dtype=float)
    ut1_tai, xp, yp = default_earth_orientation().interpolate(tai_s).T
    days, rest_ns = divmod(epoch.tai_ns, DAY_S * 1_000_000_000)  # noon to noon, as MJD_UT1 - 51544.5
    fraction = (rest_ns / 1e9 + np.asarray(t_s, dtype=float) + ut1_tai) / DAY_S
    pseudo = np.swapaxes(_polar_motion(xp, yp), 1, 2) @ ecef_from_eci(epoch, np.asarray(t_s, dtype=float))
    return np.asarray(_about_z(gmst_1982(float(days), fraction)) @ pseudo)


def gmst_1982(days: float, fraction: Array) -> Array:
    """Return Greenwich mean sidereal time of 1982, rad, at UT1 days + fraction (N,) past J2000.

    Aoki et al. 1982, as in Vallado's GSTIME.
    """
    t = (days + fraction) / 36_525.0
    seconds = 67_310.548_41 + (8_640_184.812_866 + (0.093_104 - 6.2e-6 * t) * t) * t
    turns = seconds / DAY_S + np.mod(fraction, 1.0)  # 876,600 h a century are whole days
    return np.asarray(2.0 * np.pi * np.mod(turns, 1.0))


def eme2000_from_eci() -> Array:
    """Return the constant rotation (3, 3) from GCRF to the mean equator and equinox of J2000."""
    return np.array([[1.0, _DA0, -_XI0], [-_DA0, 1.0, -_ETA0], [_XI0, _ETA0, 1.0]])


def ecef_states(epoch: Epoch, t_s: Array, state_eci: Array) -> Array:
    """Return states (N, 6) relative to the turning Earth, ITRF, m and m/s."""
    rotation = ecef_from_eci(epoch, np.asarray(t_s, dtype=float))
    turned = rotated(rotation, state_eci)
    turned[:, 3:] -= np.cross(OMEGA_EARTH, turned[:, :3])
    return turned


def eci_states(frame: str, epoch: Epoch, t_s: Array, state: Array) -> Array:
    """Return states (N, 6) in GCRF of states given in a frame of `FRAMES`. KeyError for others."""
    return FRAMES[frame.upper()](epoch, np.asarray(t_s, dtype=float), state)


def rotated(rotation: Array, state: Array) -> Array:
    """Return states (N, 6) with both halves turned by rotation (N, 3, 3) or (3, 3)."""
    halves = np.asarray(state, dtype=float).reshape(-1, 2, 3)
    matrix = np.broadcast_to(rotation, (len(halves), 3, 3))
    return np.einsum("nij,nhj->nhi", matrix, halves).reshape(-1, 6)


def _from_ecef(epoch: Epoch, t_s: Array, state: Array) -> Array:
    moving = np.array(state, dtype=float)
    moving[:, 3:] += np.cross(OMEGA_EARTH, moving[:, :3])
    return rotated(np.swapaxes(ecef_from_eci(epoch, t_s), 1, 2), moving)


def _from_teme(epoch: Epoch, t_s: Array, state: Array) -> Array:
    return rotated(np.swapaxes(teme_from_eci(epoch, t_s), 1, 2), state)


def _from_eme2000(epoch: Epoch, t_s: Array, state: Array) -> Array:
    return rotated(eme2000_from_eci().T, state)


def _as_is(epoch: Epoch, t_s: Array, state: Array) -> Array:
    return np.array(state, dtype=float)


# Names as files write them, without the year of a realisation: ITRF2000 to ITRF2020 differ by cm.
FRAMES: dict[str, Callable[[Epoch, Array, Array], Array]] = {
    "GCRF": _as_is, "ICRF": _as_is, "EME2000": _from_eme2000, "J2000": _from_eme2000, "TEME": _from_teme,
    "ITRF": _from_ecef, "ITRF93": _from_ecef, "ITRF97": _from_ecef, "ITRF2000": _from_ecef,
    "ITRF2005": _from_ecef, "ITRF2008": _from_ecef, "ITRF2014": _from_ecef, "ITRF2020": _from_ecef,
}  # fmt: skip


def _polar_motion(xp: Array, yp: Array) -> Array:
    """Return W = R1(-yp) R2(-xp), (N, 3, 3): from the pseudo Earth-fixed frame to ITRF."""
    zero, one = np.zeros_like(xp), np.ones_like(xp)
    cx, sx, cy, sy = np.cos(xp), np.sin(xp), np.cos(yp), np.sin(yp)
    about_y = np.array([[cx, zero, sx], [zero, one, zero], [-sx, zero, cx]])
    about_x = np.array([[one, zero, zero], [zero, cy, -sy], [zero, sy, cy]])
    return np.einsum("ijn,jkn->nik", about_x, about_y)


def _about_z(angle: Array) -> Array:
    """Return R3(-angle), (N, 3, 3): the rotation of vectors about +z by `angle`."""
    out = np.zeros((len(angle), 3, 3))
    out[:, 0, 0] = out[:, 1, 1] = np.cos(angle)
    out[:, 1, 0] = np.sin(angle)
    out[:, 0, 1] = -out[:, 1, 0]
    out[:, 2, 2] = 1.0
    return out
