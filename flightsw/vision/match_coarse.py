"""Where on a map might this frame lie? A whole-frame search that needs no training.

The frame's features, pooled to cells of 28 model px, are turned to 36 yaws; the map, laid
on the plane about its middle, is pooled to what such a cell covers from 7 altitudes. All
shifts of all pairs are correlated at once (FFT). With the plane's east + i south written
    w = N + (h / f) e^{i psi} q,   q = u - cx + i (v - cy)
a candidate is psi, h and the ground point N under the image's middle. Four real channels:
contrast, edge energy, and the edges' direction t as cos, sin of 2t; turning the frame by
psi multiplies that pair, as a complex number, by e^{2 i psi}.

Peaks are ranked by correlation over the root of the map's energy under the frame, plus
ENERGY_FLOOR times its mean: without that, empty places win by chance.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla, lla_from_ecef
from flightsw.camera.pose_fit import Pose, rotation_from_vector
from flightsw.camera.pose_search import Plane, level_poses
from flightsw.vision.cloud import reduced
from flightsw.vision.dft import spectrum_of
from flightsw.vision.features import Floats, Mask, box_sum, local_features
from flightsw.vision.maps import FEATURE_STEP, ReferenceMap
from flightsw.vision.preprocess import MODEL_CAMERA, ModelFrame

Array = NDArray[np.float64]
Complex = NDArray[np.complex64]
Direction = tuple[float, float, float]

STEP = 4  # model px a feature cell: about 2.4 km, a map's own cell
POOL = 7  # feature cells a coarse cell: 17 km from 550 km
YAWS = 36
ALTITUDES = tuple(float(h) for h in np.geomspace(370e3, 650e3, 7))  # m; 5 % from one to the middle
SIZE = 108  # coarse cells of the transforms
REACH = 20  # coarse cells: of a turned frame, from its middle
WEIGHTS = np.sqrt(np.array([0.7, 0.7, 1.0, 1.0], np.float32))  # of the channels below
ENERGY_FLOOR = 3.0
MAP_POOL = 3  # map cells, 7 km
STRAIGHT_DOWN: Direction = (0.0, 0.0, 1.0)
CHANNELS = 4  # contrast, energy, cos 2t, sin 2t


@dataclass(frozen=True, slots=True)
class FrameFeatures:
    """A frame in its own axes: planes (3, 162, 288) of `features`, usable (162, 288)."""

    planes: Floats
    usable: Mask


@dataclass(frozen=True, slots=True)
class Bank:
    """A map ready for the search.

    plane : about the map's middle; spectrum (7, 4, 108, 55) : of the pooled channels;
    inverse (7, 108, 108) : 1 / root of (energy under a frame + floor).
    """

    plane: Plane
    spectrum: Complex
    inverse: Floats


def frame_features(frame: ModelFrame) -> FrameFeatures:
    """Return a frame's features on cells of STEP pixels, clouds masked."""
    features, usable = local_features(*reduced(frame, STEP))
    return FrameFeatures(np.ascontiguousarray(features.transpose(2, 0, 1)), usable)


def make_bank(reference: ReferenceMap) -> Bank:
    """Return a map's bank: 3 MB, 0.1 s."""
    grid = reference.grid
    pooled = _pooled_map(reference)
    middle_lat = grid.north_deg - 0.5 * grid.rows * grid.cell_lat_deg
    middle_lon = grid.west_deg + 0.5 * grid.columns * grid.cell_lon_deg
    plane = Plane.about(ecef_from_lla(np.deg2rad(middle_lat), np.deg2rad(middle_lon))[None])
    spectrum = np.empty((len(ALTITUDES), CHANNELS, SIZE, SIZE // 2 + 1), np.complex64)
    inverse = np.empty((len(ALTITUDES), SIZE, SIZE), np.float32)
    disk = np.fft.rfft2(_disk())
    for k, altitude in enumerate(ALTITUDES):
        channels = _on_plane(pooled, reference, plane, coarse_cell(altitude))
        spectrum[k] = np.fft.rfft2(channels)
        energy = np.fft.irfft2(np.fft.rfft2(np.square(channels).sum(axis=0)) * np.conj(disk))
        inverse[k] = 1.0 / np.sqrt(np.maximum(energy, 0.0) + ENERGY_FLOOR * energy.mean() + 1e-6)
    return Bank(plane, spectrum, inverse)


def turned_spectrum(features: FrameFeatures, down_cam: Direction = STRAIGHT_DOWN) -> Complex:
    """Return the spectra of a frame at every yaw (36, 4, 108, 55): made once, for all maps.

    down_cam : the nadir's direction in the camera's axes.
    """
    turned = _turned(features, down_cam)
    norm = np.sqrt(np.square(turned).sum(axis=(1, 2, 3)))
    turned *= (1.0 / np.maximum(norm, 1e-6)).astype(np.float32)[:, None, None, None]
    spectrum = spectrum_of(turned, SIZE)  # most of the SIZE x SIZE cells are empty
    return np.asarray(np.conj(spectrum, out=spectrum))


def coarse_search(
    spectrum: Complex, bank: Bank, *, count: int, down_cam: Direction = STRAIGHT_DOWN
) -> tuple[list[Pose], Array]:
    """Return poses on a map, likeliest first, and their scores (M,); of `turned_spectrum`."""
    score = np.empty((len(ALTITUDES), YAWS, SIZE, SIZE), np.float32)
    product, part = (np.empty((YAWS, SIZE, SIZE // 2 + 1), np.complex64) for _ in range(2))
    for k in range(len(ALTITUDES)):
        np.multiply(spectrum[:, 0], bank.spectrum[k, 0], out=product)
        for channel in range(1, CHANNELS):
            np.multiply(spectrum[:, channel], bank.spectrum[k, channel], out=part)
            product += part
        np.fft.ifft(product, axis=1, out=product)  # type: ignore[arg-type]  # numpy keeps complex64
        np.fft.irfft(product, SIZE, out=score[k])
        score[k] *= bank.inverse[k]
    return _peaks(score, bank.plane, count, down_cam)


def coarse_cell(altitude: float) -> float:
    """Return what a coarse cell covers from an altitude, m."""
    return POOL * STEP * altitude / MODEL_CAMERA.fx_px


def _peaks(score: Floats, plane: Plane, count: int, down_cam: Direction) -> tuple[list[Pose], Array]:
    """Return the poses of the best scores (7, 36, 108, 108), each place (within 2.5 cells) once."""
    top = score.max(axis=(0, 1)).ravel()
    nadir: list[complex] = []
    height, yaw, values = [], [], []
    for index in np.argsort(-top, kind="stable")[: 40 * count]:
        row, column = np.divmod(int(index), SIZE)
        k, psi = np.divmod(int(score[:, :, row, column].argmax()), YAWS)
        cell = coarse_cell(ALTITUDES[k])
        # The template's middle lies REACH cells from its corner; the plane's is cell SIZE / 2.
        shift = [(at + REACH) % SIZE - SIZE // 2 for at in (row, column)]
        place = cell * (shift[1] - 1j * shift[0])
        if any(abs(place - other) < 2.5 * cell for other in nadir):
            continue
        nadir.append(place)
        height.append(ALTITUDES[k])
        yaw.append(2.0 * np.pi * psi / YAWS)
        values.append(float(top[index]))
        if len(nadir) == count:
            break
    turn = np.exp(-1j * np.array(yaw))  # similarity counts towards the north, this module to the south
    r_ecef, level = level_poses(plane, np.array(nadir), np.array(height), turn)
    cam_from_level = _cam_from_level(down_cam)
    return [Pose(r, cam_from_level @ c) for r, c in zip(r_ecef, level)], np.array(values)


def _cam_from_level(down_cam: Direction) -> Array:
    """Return the smallest rotation that takes the optical axis of a level camera to the nadir's."""
    axis = np.cross((0.0, 0.0, 1.0), down_cam)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:
        return np.eye(3)
    return np.asarray(rotation_from_vector((axis * (np.arcsin(min(sine, 1.0)) / sine))[None])[0])


@functools.lru_cache(maxsize=2)
def _samples(down_cam: Direction) -> tuple[NDArray[np.int64], Mask]:
    """Return the feature cell that every cell of every turned frame takes, and whether it is inside."""
    at = np.arange(-REACH, REACH + 1.0) * POOL * STEP / MODEL_CAMERA.fx_px
    x, y = np.meshgrid(at, at)
    w = (x + 1j * y)[None] * np.exp(-1j * 2.0 * np.pi * np.arange(YAWS) / YAWS)[:, None, None]
    rays = np.stack([w.real, w.imag, np.ones_like(w.real)], axis=-1) @ _cam_from_level(down_cam).T
    u, v = (MODEL_CAMERA.fx_px * rays[..., k] / np.maximum(rays[..., 2], 0.1) for k in (0, 1))
    height, width = MODEL_CAMERA.height_px // STEP, MODEL_CAMERA.width_px // STEP
    column = np.floor((u + MODEL_CAMERA.cx_px) / STEP).astype(np.int64)
    row = np.floor((v + MODEL_CAMERA.cy_px) / STEP).astype(np.int64)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return np.where(inside, row * width + column, 0), inside


def _turned(features: FrameFeatures, down_cam: Direction) -> Floats:
    """Return the pooled channels of the frame at every yaw, (36, 4, 41, 41)."""
    usable = features.usable.astype(np.float64)
    channels = _channels(features.planes)
    channels[1] = (channels[1] - channels[1][features.usable].mean()) * features.usable
    area = POOL**2
    pooled = np.stack([box_sum(plane.astype(np.float64), POOL // 2) / area for plane in channels])
    # A cell with little in it (clouds, the border) says little.
    pooled *= box_sum(usable, POOL // 2) > 0.3 * area
    index, inside = _samples(down_cam)
    taken = pooled.reshape(CHANNELS, -1)[:, index].transpose(1, 0, 2, 3) * inside[:, None]
    psi = 2.0 * np.pi * np.arange(YAWS)[:, None, None] / YAWS
    pair = (taken[:, 2] + 1j * taken[:, 3]) * np.exp(2j * psi)
    taken[:, 2], taken[:, 3] = pair.real, pair.imag
    return np.asarray(taken * WEIGHTS[:, None, None], np.float32)


def _channels(planes: Floats) -> Floats:
    """Return contrast, energy, 2t pair (4, H, W) of contrast and 2t pair (3, H, W)."""
    contrast, cosine, sine = planes
    return np.stack([contrast, np.hypot(cosine, sine), cosine, sine])


def _pooled_map(reference: ReferenceMap) -> Floats:
    """Return a map's channels over MAP_POOL x MAP_POOL cells (4, h, w)."""
    rows, columns = (n // MAP_POOL * MAP_POOL for n in reference.land.shape)
    planes = reference.features[:rows, :columns].transpose(2, 0, 1).astype(np.float32) * FEATURE_STEP
    channels = _channels(planes)
    channels[1] -= channels[1].mean()
    shape = (CHANNELS, rows // MAP_POOL, MAP_POOL, columns // MAP_POOL, MAP_POOL)
    return np.asarray(channels.reshape(shape).mean(axis=(2, 4)))


def _on_plane(pooled: Floats, reference: ReferenceMap, plane: Plane, cell: float) -> Floats:
    """Return the weighted channels (4, 108, 108) on the plane, rows to the south, cells of `cell` m."""
    grid = reference.grid
    sub = (np.arange(2 * SIZE) - SIZE + 0.5) / 2.0 * cell  # two samples a cell and axis
    east, south = np.meshgrid(sub, sub)
    points, _ = plane.point((east - 1j * south).ravel())
    lat, lon, _ = lla_from_ecef(points)
    middle = grid.west_deg + 0.5 * grid.columns * grid.cell_lon_deg
    off_deg = (np.rad2deg(lon) - middle + 180.0) % 360.0 - 180.0
    column = np.floor((off_deg + middle - grid.west_deg) / grid.cell_lon_deg / MAP_POOL).astype(np.int64)
    row = np.floor((grid.north_deg - np.rad2deg(lat)) / grid.cell_lat_deg / MAP_POOL).astype(np.int64)
    h, w = pooled.shape[1:]
    inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
    taken = pooled.reshape(CHANNELS, -1)[:, np.where(inside, row * w + column, 0)] * inside
    turn = np.exp(-2j * np.deg2rad(off_deg) * np.sin(lat))  # meridians converge
    pair = (taken[2] + 1j * taken[3]) * turn
    taken[2], taken[3] = pair.real, pair.imag
    cells = taken.reshape(CHANNELS, SIZE, 2, SIZE, 2).mean(axis=(2, 4))
    return np.asarray(cells * WEIGHTS[:, None, None], np.float32)


def _disk() -> Floats:
    """Return the area a frame covers, averaged over yaws, as a template of coarse cells."""
    _, inside = _samples(STRAIGHT_DOWN)
    out = np.zeros((SIZE, SIZE), np.float32)
    size = 2 * REACH + 1
    out[:size, :size] = inside.mean(axis=0)
    return out
