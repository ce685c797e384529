"""A seeded cloud field over the whole Earth, from weather systems down to 2 km edges.

Three periodic textures are made once for all seeds: smooth noise for where weather is
(12,800 km a period), billowing noise for what a cloud deck looks like, and cells for
fields of cumulus (both 1,024 km a period, 1 km a pixel). A seed turns the Earth under
them. They are read off on three planes through the Earth's axes and blended, so that
there is no seam and no pole. What stands above a threshold by h is seen as a cloud of
opacity 1 - exp(-h / softness); the threshold sets the share of the Earth covered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vinsat_sim.scene.grid import RayGrid

Array = NDArray[np.float64]
Floats = NDArray[np.float32]

TEXTURE_PX = 1024
WEATHER_PX = 256
WEATHER_PIXEL_KM = 50.0
DETAIL_PIXEL_KM = 1.0
FINEST_KM = 2.0
CALIBRATION_POINTS, CALIBRATION_SEEDS = 4000, 8
COVERED = 0.3  # thickness from which a point counts as covered
WRAP_PX = 3000  # spans up to this are read from an unwrapped cut, which is faster


def _spectral_noise(rng: np.random.Generator, size: int, slope: float, low: float, high: float) -> Array:
    """Return periodic noise (size, size), unit variance, amplitude ~ frequency**-slope.

    low, high : frequencies in cycles a period beyond which it fades out.
    """
    spectrum = np.fft.rfft2(rng.standard_normal((size, size)))
    fy = np.fft.fftfreq(size)[:, None] * size
    fx = np.fft.rfftfreq(size)[None, :] * size
    frequency = np.hypot(fx, fy)
    frequency[0, 0] = np.inf
    shape = frequency**-slope * np.exp(-((frequency / high) ** 2)) * (1.0 - np.exp(-((frequency / low) ** 2)))
    noise = np.fft.irfft2(spectrum * shape, s=(size, size))
    return np.asarray(noise / noise.std())


def _warped(texture: Array, dx: Array, dy: Array) -> Floats:
    """Return a periodic texture read off at displaced pixels."""
    y, x = np.mgrid[: texture.shape[0], : texture.shape[1]]
    return np.asarray(
        cv2.remap(
            texture.astype(np.float32),
            (x + dx).astype(np.float32),
            (y + dy).astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )
    )


def _cells(rng: np.random.Generator, size: int, spacing_px: float) -> Floats:
    """Return periodic bumps (size, size) around scattered points, 0 mean, unit variance."""
    seeds = np.ones((size, size), np.uint8)
    at = rng.integers(0, size, (round((size / spacing_px) ** 2), 2))
    seeds[at[:, 0], at[:, 1]] = 0
    tiled = cv2.copyMakeBorder(seeds, 64, 64, 64, 64, cv2.BORDER_WRAP)
    distance = cv2.distanceTransform(tiled, cv2.DIST_L2, cv2.DIST_MASK_5)[64:-64, 64:-64]
    bumps = -np.minimum(distance / spacing_px, 1.0)
    return np.asarray((bumps - bumps.mean()) / bumps.std(), dtype=np.float32)


@cache
def _textures() -> tuple[Floats, Floats]:
    """Return (weather (256, 256, 3), detail (1024, 1024, 2)), unit variances.

    weather channels: where clouds are, which kind they are, how soft they are; detail
    channels: deck, cells.
    """
    rng = np.random.default_rng(20_260_301)
    finest = TEXTURE_PX * DETAIL_PIXEL_KM / FINEST_KM
    weather = [_spectral_noise(rng, WEATHER_PX, 1.7, 4.0, 60.0) for _ in range(5)]
    bands = _warped(weather[0], 12.0 * weather[3], 12.0 * weather[4])  # fronts and swirls
    warp = [_spectral_noise(rng, TEXTURE_PX, 1.9, 2.0, 60.0) for _ in range(2)]
    billow = _spectral_noise(rng, TEXTURE_PX, 1.55, 3.0, 0.7 * finest)
    deck = _warped(billow, 22.0 * warp[0], 22.0 * warp[1])
    detail = _spectral_noise(rng, TEXTURE_PX, 1.2, 10.0, finest)
    cells = 0.8 * _cells(rng, TEXTURE_PX, 7.0) + 0.5 * _cells(rng, TEXTURE_PX, 18.0) + 0.45 * detail
    cells = _warped(cells, 5.0 * warp[1], 5.0 * warp[0])
    weather_rgb = np.dstack([bands, weather[1], weather[2]])
    return weather_rgb.astype(np.float32), np.dstack([deck, cells / cells.std()]).astype(np.float32)


def _read_off(texture: Floats, u: Floats, v: Floats) -> Floats:
    """Return a periodic texture (n, n, k) at pixels u, v of any size, (r, c, k)."""
    size = texture.shape[0]
    u0, v0 = int(np.floor(u.min())), int(np.floor(v.min()))
    columns, rows = int(u.max()) - u0 + 2, int(v.max()) - v0 + 2
    if max(columns, rows) > WRAP_PX:
        u, v = np.remainder(u, size), np.remainder(v, size)
        return np.asarray(cv2.remap(texture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))
    at = (np.arange(v0, v0 + rows) % size, np.arange(u0, u0 + columns) % size)
    return np.asarray(cv2.remap(texture[np.ix_(*at)], u - u0, v - v0, cv2.INTER_LINEAR))


def _random_rotation(rng: np.random.Generator) -> Array:
    q = rng.standard_normal(4)
    w, x, y, z = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@dataclass(frozen=True, slots=True)
class CloudField:
    """Clouds of one moment: fixed to the Earth. Make one with `cloud_field`.

    turn (3, 3) : Earth to texture axes; shift_km (3, 2) : where each plane starts;
    threshold : of the raw field, see `cloud_field`.
    """

    turn: Array
    shift_km: Array
    threshold: float

    def thickness(self, p_ecef: Array | Floats) -> Floats:
        """Return cloud opacity, 0 clear to 1, above points (r, c, 3), ecef, m; (r, c)."""
        return self._opacity(self._sample(p_ecef, 0), self._sample(p_ecef, 1))

    def thickness_at(self, p_ecef: Array) -> Floats:
        """Return the opacity above points (N, 3), (N,)."""
        return self.thickness(p_ecef[None])[0]

    def thickness_seen(self, grid: RayGrid, step: int) -> Floats:
        """Return the opacity in cells of `step` pixels of a frame, as `RayGrid.upsampled`."""

        def finer(nodes: Floats) -> Floats:
            return grid.upsampled(nodes, step=step)

        weather = finer(self._sample(grid.p_ecef, 0))
        return self._opacity(weather, self._sample(grid.p_ecef, 1, finer))

    def _opacity(self, weather: Floats, detail: Floats) -> Floats:
        height, softness = self._height(weather, detail)
        return np.asarray(1.0 - np.exp(-np.maximum(height - self.threshold, 0.0) / softness))

    @staticmethod
    def _height(weather: Floats, detail: Floats) -> tuple[Floats, Floats]:
        """Return the height of the field and the softness of its edges."""
        cumulus = 1.0 / (1.0 + np.exp(-2.5 * weather[..., 1]))  # 0 deck .. 1 cumulus
        height = 1.1 * weather[..., 0] + 0.75 * (1.0 - cumulus) * detail[..., 0]
        height += 0.95 * cumulus * detail[..., 1]
        softness = 0.45 + 0.7 * (1.0 - cumulus) * np.clip(0.6 + 0.7 * weather[..., 2], 0.0, 2.0)
        return height, softness

    def _sample(
        self, p_ecef: Array | Floats, which: int, finer: Callable[[Floats], Floats] = np.asarray
    ) -> Floats:
        """Return texture 0 (weather) or 1 (detail) above points (r, c, 3), (R, C, k).

        finer : takes (r, c) quantities, smooth from point to point, to (R, C).
        """
        texture = _textures()[which]
        pixel_km = np.float32((WEATHER_PIXEL_KM, DETAIL_PIXEL_KM)[which])
        km = np.asarray(p_ecef, np.float32) @ (self.turn.T * 1e-3).astype(np.float32)
        weight = (km / np.float32(6371.0)) ** 2
        for _ in range(3):
            weight *= weight  # 16th power: mostly one plane, a narrow blend between
        weight /= np.sqrt(np.sum(weight * weight, axis=-1, keepdims=True))  # keeps the contrast
        total: Floats | None = None
        for axis in range(3):
            if float(weight[..., axis].max()) < 0.01:
                continue
            first, second = (i for i in range(3) if i != axis)
            # The two halves of the globe read different parts of a texture.
            side = np.where(km[..., axis] < 0.0, np.float32(5310.0), np.float32(0.0))
            u = (km[..., first] + np.float32(self.shift_km[axis, 0]) + side) / pixel_km
            v = (km[..., second] + np.float32(self.shift_km[axis, 1])) / pixel_km
            part = _read_off(texture, finer(u), finer(v)) * finer(weight[..., axis])[..., None]
            total = part if total is None else total + part
        assert total is not None  # the weights' squares sum to one
        return total


def cloud_field(seed: int, *, cover: float = 0.5) -> CloudField:
    """Return the clouds of a seed that cover a share `cover` (0..1) of the Earth.

    The share is of points whose thickness is at least COVERED. It is met on average over
    seeds; one seed's Earth is within about 0.03 of it, and any one frame may be clear or
    overcast.
    """
    if not 0.0 < cover < 1.0:
        raise ValueError(f"cover must lie between 0 and 1, got {cover} (no clouds: no CloudField)")
    return CloudField(*_orientation(seed), _threshold(round(cover, 4)))


def _orientation(seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng([seed, 0xC10D])
    return _random_rotation(rng), rng.uniform(0.0, 12_800.0, (3, 2))


@lru_cache(maxsize=256)
def _threshold(cover: float) -> float:
    # opacity >= COVERED  <=>  height - threshold >= -softness log(1 - COVERED)
    return float(np.quantile(_sampled_margins(), 1.0 - cover))


@cache
def _sampled_margins() -> Floats:
    """Return the thresholds at which points on the Earth of a few seeds become covered."""
    points = np.random.default_rng(3).standard_normal((1, CALIBRATION_POINTS, 3))
    points *= 6.371e6 / np.linalg.norm(points, axis=-1, keepdims=True)
    margins = []
    for seed in range(CALIBRATION_SEEDS):
        field = CloudField(*_orientation(seed), 0.0)
        height, softness = field._height(field._sample(points, 0), field._sample(points, 1))
        margins.append(height + softness * np.log(1.0 - COVERED))
    return np.concatenate(margins)
