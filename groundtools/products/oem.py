"""Orbit Ephemeris Messages: written here, read by the `oem` package (which is strict).

Written: CCSDS 502.0-B, version 2.0, KVN, GCRF, UTC, km to 0.1 mm, epochs to the
microsecond with the states moved along to them. Read: KVN and XML, the frames of
`groundtools.products.frames`, UTC, TAI, TT and GPS time, one object of one or several
segments; covariances in the frame of the states.
"""

import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.time import Epoch
from flightsw.errors import InputError
from groundtools.products import kvn
from groundtools.products.ephemeris import Body, Ephemeris
from groundtools.products.frames import FRAMES, eci_states
from groundtools.products.omm import ORIGINATOR, UNKNOWN

Array = NDArray[np.float64]

HERMITE_DEGREE = 7  # needs four states
_FIX = "give an OEM as CCSDS 502.0-B describes it"


def write_oem(ephemeris: Ephemeris, *, comments: tuple[str, ...] = ()) -> str:
    """Return the text of an OEM. comments : one line each, for a human."""
    stamps, position = stamped(ephemeris, kvn.TIME_DIGITS)
    body = ephemeris.body
    lines = [
        "CCSDS_OEM_VERS = 2.0",
        *(f"COMMENT {line}" for line in comments),
        f"CREATION_DATE = {stamps[-1]}",
        f"ORIGINATOR = {ORIGINATOR}",
        "",
        "META_START",
        f"OBJECT_NAME = {body.name or UNKNOWN}",
        f"OBJECT_ID = {body.designator or UNKNOWN}",
        "CENTER_NAME = EARTH",
        "REF_FRAME = GCRF",
        "TIME_SYSTEM = UTC",
        f"START_TIME = {stamps[0]}",
        f"STOP_TIME = {stamps[-1]}",
    ]
    if 2 * len(stamps) > HERMITE_DEGREE:
        lines += ["INTERPOLATION = HERMITE", f"INTERPOLATION_DEGREE = {HERMITE_DEGREE}"]
    lines += ["META_STOP", ""]
    for stamp, r, v in zip(stamps, position, ephemeris.state[:, 3:], strict=True):
        lines.append(stamp + "".join(f" {x / 1e3:.7f}" for x in r) + "".join(f" {x / 1e3:.10f}" for x in v))
    if len(ephemeris.covariance):
        lines += ["", "COVARIANCE_START"]
        for t, matrix in zip(ephemeris.covariance_t_s, ephemeris.covariance * 1e-6, strict=True):
            lines += [
                f"EPOCH = {_stamp(ephemeris.epoch + float(t), kvn.TIME_DIGITS)}",
                "COV_REF_FRAME = GCRF",
            ]
            lines += [" ".join(f"{matrix[i, j]:.14e}" for j in range(i + 1)) for i in range(6)]
        lines.append("COVARIANCE_STOP")
    return "\n".join(lines) + "\n"


def stamped(ephemeris: Ephemeris, digits: int) -> tuple[list[str], Array]:
    """Return UTC times rounded to `digits` decimals, and positions (N, 3) m moved along to them."""
    epochs = ephemeris.epochs
    stamps = [_stamp(epoch, digits) for epoch in epochs]
    moved_s = np.array([Epoch.from_utc(f"{s}Z") - epoch for s, epoch in zip(stamps, epochs, strict=True)])
    return stamps, ephemeris.state[:, :3] + moved_s[:, None] * ephemeris.state[:, 3:]


def read_oem(text: str) -> Ephemeris:
    """Return the table of an OEM, KVN or XML. InputError says what is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy's own, about leap seconds to come
        parts = [_segment(segment) for segment in _parsed(text)]
    if not parts:
        raise InputError("holds no segment", fix=_FIX)
    if len({part.body.designator for part in parts}) > 1:
        raise InputError("holds several objects", field="OBJECT_ID", fix="give one file for each")
    epoch = parts[0].epoch
    shift = [part.epoch - epoch for part in parts]
    t_s = np.concatenate([part.t_s + s for part, s in zip(parts, shift, strict=True)])
    keep = np.concatenate([[True], np.diff(t_s) > 0.0])  # segments may share their ends
    return Ephemeris(
        epoch,
        t_s[keep],
        np.concatenate([part.state for part in parts])[keep],
        np.concatenate([part.covariance_t_s + s for part, s in zip(parts, shift, strict=True)]),
        np.concatenate([part.covariance for part in parts]),
        parts[0].body,
    )


def _parsed(text: str) -> Any:
    """Return the message as the `oem` package reads it; whatever it raises becomes an InputError."""
    from oem import OrbitEphemerisMessage

    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError("declares a document type", fix=_FIX)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orbit.oem"
        path.write_text(text, encoding="utf-8")
        try:
            return OrbitEphemerisMessage.open(path)
        except Exception as error:  # the package promises no kind of error for malformed text
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise InputError(f"is not an OEM ({reason})", fix=_FIX) from None


def _segment(segment: Any) -> Ephemeris:
    meta = segment.metadata
    frame, system = str(meta["REF_FRAME"]).upper(), str(meta["TIME_SYSTEM"]).upper()
    if frame not in FRAMES:
        raise InputError(f"{frame[:20]!r} is not known", field="REF_FRAME", fix=f"give {', '.join(FRAMES)}")
    if str(meta["CENTER_NAME"]).upper() != "EARTH":
        raise InputError("is not EARTH", field="CENTER_NAME", fix="give an orbit of the Earth")
    states = list(segment.states)
    if not states:
        raise InputError("has a segment without states", fix=_FIX)
    times = [kvn.parse_time(_iso(state.epoch), system) for state in states]
    t_s = np.array([time - times[0] for time in times])
    table = np.array([state.vector[:6] for state in states]) * 1e3
    covariances = list(segment.covariances)
    for one in covariances:
        if str(one.frame).upper() not in ("GCRF", "ICRF", frame):
            raise InputError(f"{one.frame} is not read", field="COV_REF_FRAME", fix="give it in GCRF")
    turned = [_turned(one, frame, system) for one in covariances]
    return Ephemeris(
        times[0],
        t_s,
        eci_states(frame, times[0], t_s, table),
        np.array([kvn.parse_time(_iso(one.epoch), system) - times[0] for one in covariances]),
        np.array(turned).reshape(-1, 6, 6),
        Body(_known(meta["OBJECT_NAME"]), _known(meta["OBJECT_ID"])),
    )


def _turned(one: Any, frame: str, system: str) -> Array:
    """Return a covariance (6, 6) in GCRF, SI: the map of states is linear, so its columns turn it."""
    matrix = np.asarray(one.matrix, dtype=float) * 1e6
    if str(one.frame).upper() != frame:
        frame = "GCRF"
    epoch = kvn.parse_time(_iso(one.epoch), system)
    jacobian = eci_states(frame, epoch, np.zeros(6), np.eye(6)).T
    return np.asarray(jacobian @ matrix @ jacobian.T)


def _iso(time: Any) -> str:
    """Return a time of the `oem` package (astropy's, or datetime where astropy lacks the scale)."""
    if hasattr(time, "isot"):
        time = time.copy()
        time.precision = 9
        return str(time.isot)
    return str(time.isoformat())


def _stamp(epoch: Epoch, digits: int) -> str:
    return epoch.utc_iso(digits).removesuffix("Z")


def _known(text: object) -> str:
    value = re.sub(r"\s+", " ", str(text)).strip()
    return "" if value.upper() == UNKNOWN else value
