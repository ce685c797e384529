"""Orbit Parameter Messages: one state with its covariance, KVN.

Written: CCSDS 502.0-B, version 2.0, GCRF, UTC, km. Read: the frames of
`groundtools.products.frames`; manoeuvres, Keplerian elements and bodies are passed over.
"""

import numpy as np
from numpy.typing import NDArray

from flightsw.errors import InputError
from groundtools.products import kvn
from groundtools.products.ephemeris import Body, Ephemeris
from groundtools.products.frames import FRAMES, eci_states
from groundtools.products.omm import ORIGINATOR, UNKNOWN

Array = NDArray[np.float64]

_STATE = ("X", "Y", "Z", "X_DOT", "Y_DOT", "Z_DOT")
_COVARIANCE = tuple((i, j, f"C{_STATE[i]}_{_STATE[j]}") for i in range(6) for j in range(i + 1))


def write_opm(ephemeris: Ephemeris, *, comments: tuple[str, ...] = ()) -> str:
    """Return the text of an OPM of the first state, with the covariance of its time if there is one."""
    epoch = ephemeris.epoch + float(ephemeris.t_s[0])
    stamp = epoch.utc_iso(kvn.TIME_DIGITS)
    moved_s = kvn.parse_time(stamp) - epoch
    state = ephemeris.state[0].copy()
    state[:3] += moved_s * state[3:]
    lines = [
        "CCSDS_OPM_VERS = 2.0",
        *(f"COMMENT {line}" for line in comments),
        f"CREATION_DATE = {stamp.removesuffix('Z')}",
        f"ORIGINATOR = {ORIGINATOR}",
        f"OBJECT_NAME = {ephemeris.body.name or UNKNOWN}",
        f"OBJECT_ID = {ephemeris.body.designator or UNKNOWN}",
        "CENTER_NAME = EARTH",
        "REF_FRAME = GCRF",
        "TIME_SYSTEM = UTC",
        f"EPOCH = {stamp.removesuffix('Z')}",
        *(f"{key} = {value / 1e3:.10f} [km]" for key, value in zip(_STATE[:3], state[:3], strict=True)),
        *(f"{key} = {value / 1e3:.13f} [km/s]" for key, value in zip(_STATE[3:], state[3:], strict=True)),
    ]
    if len(ephemeris.covariance) and abs(ephemeris.covariance_t_s[0] - ephemeris.t_s[0]) < 1e-6:
        matrix = ephemeris.covariance[0] * 1e-6
        lines.append("COV_REF_FRAME = GCRF")
        lines += [f"{key} = {matrix[i, j]:.14e}" for i, j, key in _COVARIANCE]
    return "\n".join(lines) + "\n"


def read_opm(text: str) -> Ephemeris:
    """Return the state as a table of one, with its covariance. InputError names the keyword."""
    pairs = [pair for pair in kvn.pairs_of(text) if not pair[0].startswith(("MAN_", "USER_DEFINED"))]
    fields = kvn.unique(pairs)
    if "CCSDS_OPM_VERS" not in fields:
        raise InputError("does not begin with CCSDS_OPM_VERS", fix="give an OPM")
    frame = fields.get("REF_FRAME", "").upper()
    if frame not in FRAMES:
        raise InputError(f"{frame[:20]!r} is not known", field="REF_FRAME", fix=f"give {', '.join(FRAMES)}")
    if fields.get("CENTER_NAME", "").upper() != "EARTH":
        raise InputError("is not EARTH", field="CENTER_NAME", fix="give an orbit of the Earth")
    epoch = kvn.parse_time(fields.get("EPOCH", ""), fields.get("TIME_SYSTEM", "UTC").upper())
    state = np.array([[kvn.number(fields, key) * 1e3 for key in _STATE]])
    covariance = _covariance(fields, frame)
    if len(covariance):
        jacobian = eci_states(_frame_of_covariance(fields, frame), epoch, np.zeros(6), np.eye(6)).T
        covariance = jacobian @ covariance @ jacobian.T
    name, designator = (fields.get(key, UNKNOWN) for key in ("OBJECT_NAME", "OBJECT_ID"))
    return Ephemeris(
        epoch,
        np.zeros(1),
        eci_states(frame, epoch, np.zeros(1), state),
        np.zeros(len(covariance)),
        covariance,
        Body("" if name == UNKNOWN else name, "" if designator == UNKNOWN else designator),
    )


def _frame_of_covariance(fields: dict[str, str], frame: str) -> str:
    own = fields.get("COV_REF_FRAME", frame).upper()
    if own not in FRAMES:
        raise InputError(f"{own[:20]!r} is not read", field="COV_REF_FRAME", fix="give it in GCRF")
    return own


def _covariance(fields: dict[str, str], frame: str) -> Array:
    """Return (1, 6, 6) in SI in the file's frame, or (0, 6, 6)."""
    if not any(key in fields for _, _, key in _COVARIANCE):
        return np.zeros((0, 6, 6))
    matrix = np.zeros((6, 6))
    for i, j, key in _COVARIANCE:
        matrix[i, j] = matrix[j, i] = kvn.number(fields, key) * 1e6
    return matrix[None]
