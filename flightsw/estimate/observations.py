"""What the estimator is given: landmark sightings, and tables of attitude and rates.

All are plain arrays over one reference epoch: `t_s` are seconds past `epoch` (elapsed
SI seconds, so a leap second counts). Tables read from files have each their own epoch;
`rebased` brings one to another's, which must be done before their `t_s` are compared.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.astro.time import Epoch
from flightsw.camera.quaternion import rotation_from_quaternion, slerp

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
StrArray = NDArray[np.str_]

SAME_TIME_S = 1e-6  # two labels closer than this name one instant (they carry 1 ns)
MAX_SLERP_GAP_S = 60.0  # attitude rows further apart than this are not joined


def _shape(name: str, value: NDArray[np.generic], *expected: int) -> None:
    if value.shape != expected:
        raise ValueError(f"{name} must have shape {expected}, got {value.shape}")


@dataclass(frozen=True, slots=True)
class Observations:
    """Landmark sightings, N rows, sorted by time (rows of one instant are one frame).

    epoch : reference instant; t_s : (N,) seconds past it, mid-exposure of the centre row;
    landmark_id, region : (N,) text; p_ecef : (N, 3) m; lon_deg, lat_deg, height_m : (N,)
    WGS 84 geodetic; uv_px : (N, 2) full-resolution pixels; confidence : (N,) 0..1;
    sigma_px : (N,) 1 sigma per axis, NaN where the detector gave none.
    Derived: frame_t_s (F,) the distinct times, ascending; frame_index (N,) into it.
    """

    epoch: Epoch
    t_s: Array
    landmark_id: StrArray
    p_ecef: Array
    lon_deg: Array
    lat_deg: Array
    height_m: Array
    uv_px: Array
    confidence: Array
    sigma_px: Array
    region: StrArray
    frame_t_s: Array = field(init=False)
    frame_index: IntArray = field(init=False)

    def __post_init__(self) -> None:
        """Check the shapes, and group the rows into frames. Raises ValueError."""
        n = len(self.t_s)
        for name in ("landmark_id", "lon_deg", "lat_deg", "height_m", "confidence", "sigma_px", "region"):
            _shape(name, getattr(self, name), n)
        _shape("p_ecef", self.p_ecef, n, 3)
        _shape("uv_px", self.uv_px, n, 2)
        if np.any(np.diff(self.t_s) < 0.0):
            raise ValueError("t_s must be sorted; Observations.build sorts for you")
        frame_t_s, index = np.unique(self.t_s, return_inverse=True)
        object.__setattr__(self, "frame_t_s", frame_t_s)
        object.__setattr__(self, "frame_index", index.reshape(n).astype(np.int64))

    @classmethod
    def build(
        cls,
        *,
        epoch: Epoch,
        t_s: Array,
        landmark_id: StrArray,
        lon_deg: Array,
        lat_deg: Array,
        height_m: Array,
        uv_px: Array,
        confidence: Array | None = None,
        sigma_px: Array | None = None,
        region: StrArray | None = None,
    ) -> "Observations":
        """Return observations of rows in any order, sorted by (time, landmark, u, v).

        The order is canonical, so that a result cannot depend on the order of a file.
        Fields as in the class; absent confidence is 1, absent sigma NaN, absent region "".
        """
        n = len(t_s)
        uv_px = np.asarray(uv_px, dtype=np.float64).reshape(n, 2)
        ids = np.asarray(landmark_id, dtype=np.str_)
        order = np.lexsort((uv_px[:, 1], uv_px[:, 0], ids, t_s)) if n else np.zeros(0, dtype=np.int64)
        lon, lat, height = (np.asarray(a, dtype=np.float64)[order] for a in (lon_deg, lat_deg, height_m))
        confidence = np.ones(n) if confidence is None else confidence
        sigma_px = np.full(n, np.nan) if sigma_px is None else sigma_px
        region = np.full(n, "", dtype=np.str_) if region is None else region
        return cls(
            epoch=epoch,
            t_s=np.asarray(t_s, dtype=np.float64)[order],
            landmark_id=ids[order],
            p_ecef=ecef_from_lla(np.radians(lat), np.radians(lon), height),
            lon_deg=lon,
            lat_deg=lat,
            height_m=height,
            uv_px=uv_px[order],
            confidence=np.asarray(confidence, dtype=np.float64)[order],
            sigma_px=np.asarray(sigma_px, dtype=np.float64)[order],
            region=np.asarray(region, dtype=np.str_)[order],
        )

    def __len__(self) -> int:
        """Return the number of rows N."""
        return len(self.t_s)

    def subset(self, mask: BoolArray | IntArray) -> "Observations":
        """Return the rows of a boolean mask (N,) or of ascending indices; same epoch."""
        return replace(
            self,
            t_s=self.t_s[mask],
            landmark_id=self.landmark_id[mask],
            p_ecef=self.p_ecef[mask],
            lon_deg=self.lon_deg[mask],
            lat_deg=self.lat_deg[mask],
            height_m=self.height_m[mask],
            uv_px=self.uv_px[mask],
            confidence=self.confidence[mask],
            sigma_px=self.sigma_px[mask],
            region=self.region[mask],
        )


@dataclass(frozen=True, slots=True)
class AttitudeTable:
    """Where the camera pointed: cam_from_eci at M instants.

    epoch, t_s : (M,) strictly ascending; q : (M, 4) unit, scalar-first,
    v_cam = R(q) v_eci; sigma_rad : (M,) 1 sigma per axis, NaN where not given.
    """

    epoch: Epoch
    t_s: Array
    q: Array
    sigma_rad: Array

    def __post_init__(self) -> None:
        """Check shapes and order. Raises ValueError."""
        _shape("q", self.q, len(self.t_s), 4)
        _shape("sigma_rad", self.sigma_rad, len(self.t_s))
        if np.any(np.diff(self.t_s) <= 0.0):
            raise ValueError("t_s must be strictly ascending")

    def rebased(self, epoch: Epoch) -> "AttitudeTable":
        """Return the same table with `t_s` counted from another epoch."""
        return replace(self, epoch=epoch, t_s=self.t_s + (self.epoch - epoch))

    def _bracket(self, t_s: Array) -> tuple[IntArray, IntArray, Array, BoolArray]:
        """Return the rows (before, after), the fraction of the way, and validity, all (N,)."""
        n = len(t_s)
        if len(self.t_s) == 0:
            zero = np.zeros(n, dtype=np.int64)
            return zero, zero, np.zeros(n), np.zeros(n, dtype=np.bool_)
        last = len(self.t_s) - 1
        after = np.clip(np.searchsorted(self.t_s, t_s), 0, last)
        before = np.clip(after - 1, 0, last)
        gap = self.t_s[after] - self.t_s[before]
        inside = (t_s >= self.t_s[before]) & (t_s <= self.t_s[after])
        valid = inside & (gap <= MAX_SLERP_GAP_S + SAME_TIME_S)
        fraction = np.where(valid, (t_s - self.t_s[before]) / np.where(gap > 0.0, gap, 1.0), 0.0)
        for row in (before, after):  # an exact label needs no neighbour
            exact = np.abs(t_s - self.t_s[row]) <= SAME_TIME_S
            before, after = np.where(exact, row, before), np.where(exact, row, after)
            fraction, valid = np.where(exact, 0.0, fraction), valid | exact
        return before, after, fraction, valid

    def cam_from_eci_at(self, t_s: Array) -> tuple[Array, BoolArray]:
        """Return cam_from_eci (N, 3, 3) at t_s (N,) past this table's epoch, and a mask (N,).

        The exact row, else slerp between rows at most 60 s apart; elsewhere NaN and False.
        """
        before, after, fraction, valid = self._bracket(np.asarray(t_s, dtype=np.float64))
        rotation = np.full((len(valid), 3, 3), np.nan)
        if valid.any():
            q = slerp(self.q[before[valid]], self.q[after[valid]], fraction[valid])
            rotation[valid] = rotation_from_quaternion(q)
        return rotation, valid

    def rate_at(self, t_s: Array) -> Array:
        """Return how the attitude turns (N, 3), cam axes, rad/s; NaN where no two rows tell."""
        t_s = np.asarray(t_s, dtype=np.float64)
        rate = np.full((len(t_s), 3), np.nan)
        for before, after in ((-0.5, 0.5), (-1.0, 0.0), (0.0, 1.0)):  # s; around, else to one side
            (first, has_first), (last, has_last) = (self.cam_from_eci_at(t_s + dt) for dt in (before, after))
            small = np.where((has_first & has_last)[:, None, None], last @ np.swapaxes(first, 1, 2), np.nan)
            turned = 0.5 * np.stack(
                [
                    small[:, 2, 1] - small[:, 1, 2],
                    small[:, 0, 2] - small[:, 2, 0],
                    small[:, 1, 0] - small[:, 0, 1],
                ],
                axis=1,
            )
            rate = np.where(np.isnan(rate), turned, rate)
        return rate

    def sigma_rad_at(self, t_s: Array) -> Array:
        """Return the 1-sigma error per axis (N,) at t_s, the larger of the two rows; NaN = not given."""
        before, after, _, valid = self._bracket(np.asarray(t_s, dtype=np.float64))
        sigma = np.full(len(valid), np.nan)
        sigma[valid] = np.maximum(self.sigma_rad[before[valid]], self.sigma_rad[after[valid]])
        return sigma


@dataclass(frozen=True, slots=True)
class GyroTable:
    """Measured turning rates: epoch, t_s (M,) strictly ascending, rate_body (M, 3) rad/s."""

    epoch: Epoch
    t_s: Array
    rate_body: Array

    def __post_init__(self) -> None:
        """Check shapes and order. Raises ValueError."""
        _shape("rate_body", self.rate_body, len(self.t_s), 3)
        if np.any(np.diff(self.t_s) <= 0.0):
            raise ValueError("t_s must be strictly ascending")
