"""Tracking: a frame whose pose is roughly known is found on any map in view.

The predicted pose lays the map under the frame, at 4.8 km and with as much around it as
the prediction may be wrong; the whole frame is correlated there at three yaws (FFT). From
the best places blocks draw the pose in, and it is settled like every other proposal: the
dense check knows nothing of the prediction, so a wrong orbit cannot confirm itself.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ellipsoid_intersection, lla_from_ecef
from flightsw.camera.pose_fit import Pose, rotation_from_vector
from flightsw.vision.features import Floats
from flightsw.vision.manifest import Region
from flightsw.vision.maps import MARGIN_DEG, ReferenceMap
from flightsw.vision.match_blocks import Support, improve
from flightsw.vision.match_coarse import STEP, FrameFeatures
from flightsw.vision.preprocess import MODEL_CAMERA
from flightsw.vision.settle import Mounting
from flightsw.vision.underlay import HEIGHT, WIDTH, ground_under, map_under

Array = NDArray[np.float64]
Complex = NDArray[np.complex64]

HALF = 2  # feature cells a cell of the whole-frame correlation: 4.8 km
CELL = HALF * STEP  # model px
LEAST_REACH, MOST_REACH = 40e3, 160e3  # m
SIGMAS = 3.0
YAWS_DEG = (0.0, -3.0, 3.0)
PLACES = 2  # of the correlation, looked at by blocks
APART = 4  # cells between them
LEAST_CORRELATION = 1.6  # sum over the agreeing blocks; lower than for lost: less was searched
CERTAIN_CORRELATION = 6.0
PIXEL_SIGMA = 2.0  # model px, of a block before the pose is drawn tight
MOST_MAPS = 2


@dataclass(frozen=True, slots=True)
class Expectation:
    """Where a frame should have been taken: pose, and how far off the image's middle may lie
    on the ground (1 sigma, m), pointing included.
    """

    pose: Pose
    sigma: float

    @property
    def is_useful(self) -> bool:
        """Tell whether the search reaches as far as the prediction may be wrong."""
        return self.sigma * SIGMAS <= MOST_REACH


def middle_of(pose: Pose) -> Array:
    """Return the ground point (3,), m, in the middle of a frame; NaN beside the Earth."""
    return np.asarray(ellipsoid_intersection(pose.r_ecef[None], pose.cam_from_ecef[2][None])[0])


def maps_in_view(places: tuple[Region, ...], pose: Pose) -> list[str]:
    """Return the places whose map holds the middle of the frame, the most central first."""
    lat, lon, _ = lla_from_ecef(middle_of(pose))
    inside = []
    for place in places:
        west, south, east, north = place.bounds_deg
        middle = 0.5 * (west + east)
        across = abs((np.rad2deg(lon) - middle + 180.0) % 360.0 - 180.0) - 0.5 * (east - west)
        across *= np.cos(lat)
        along = max(south - np.rad2deg(lat), np.rad2deg(lat) - north)
        outside = max(across, along)  # degrees of arc; negative inside
        if outside < MARGIN_DEG - 1.0:
            inside.append((float(outside), place.id))
    return [name for _, name in sorted(inside)[:MOST_MAPS]]


def follow(
    features: FrameFeatures, expected: Expectation, reference: ReferenceMap, mounting: Mounting
) -> list[Support]:
    """Return poses near the expected one that blocks of the frame agree on, best first."""
    reach = float(np.clip(SIGMAS * expected.sigma, LEAST_REACH, MOST_REACH))
    found: list[Support] = []
    for rough in _whole_frame(features, expected.pose, reference, reach):
        support = improve(features, rough, reference, prior=mounting.prior(PIXEL_SIGMA))
        if support is not None and support.correlation >= LEAST_CORRELATION:
            found.append(support)
            if support.correlation >= CERTAIN_CORRELATION:
                break
    return sorted(found, key=lambda one: -one.correlation)


def _whole_frame(features: FrameFeatures, pose: Pose, reference: ReferenceMap, reach: float) -> list[Pose]:
    """Return the poses of the best places of the whole-frame correlation."""
    cells = int(np.ceil(reach / (CELL * pose.altitude / MODEL_CAMERA.fx_px)))
    own, usable = _halved(features)
    shape = tuple(_smooth(n // HALF + 2 * cells) for n in (HEIGHT, WIDTH))
    ours = np.conj(np.fft.rfft2(np.concatenate([own, usable[None]]), shape))
    found: list[tuple[float, int, int, Pose]] = []
    for yaw_deg in YAWS_DEG:
        turned = _turned(pose, np.deg2rad(yaw_deg))
        margin = HALF * (cells + 1)
        ground = ground_under(turned, reference, margin=margin)
        if ground is None:
            continue
        rows = np.arange(-HALF * cells, HEIGHT // HALF * HALF + HALF * cells)
        columns = np.arange(-HALF * cells, WIDTH // HALF * HALF + HALF * cells)
        window = _half(map_under(ground, rows, columns))
        score = _correlated(ours, window, cells, shape)
        for i, j in _best(score):
            found.append((float(score[i, j]), i - cells, j - cells, turned))
    found.sort(key=lambda one: -one[0])
    kept: list[tuple[float, int, int, Pose]] = []
    for one in found:
        if all(abs(one[1] - k[1]) + abs(one[2] - k[2]) > APART for k in kept):
            kept.append(one)
        if len(kept) == PLACES:
            break
    return [_shifted(turned, i, j) for _, i, j, turned in kept]


def _correlated(ours: Complex, window: Floats, cells: int, shape: tuple[int, ...]) -> Floats:
    """Return the correlation at shifts -cells..cells, rows and columns.

    ours : conjugate spectrum, of transforms of `shape`, of the frame's features and what is usable.
    """
    spectrum = np.fft.rfft2(np.concatenate([window, np.square(window).sum(axis=0)[None]]), shape)
    spectrum *= ours
    side = 2 * cells + 1
    product = np.fft.irfft2(spectrum[:3].sum(axis=0), shape)[:side, :side]
    under = np.fft.irfft2(spectrum[3], shape)[:side, :side]
    # A place with little in it must not win by chance.
    floor = 0.3 * float(under.mean()) + 1e-6
    return np.asarray(product / np.sqrt(np.maximum(under, floor)), np.float32)


def _smooth(size: int) -> int:
    """Return the next size up that has no prime factor above 5: others take FFTs twice as long."""
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 1


def _best(score: Floats) -> list[tuple[int, int]]:
    """Return the places of the best scores, APART from each other."""
    left = score.copy()
    places = []
    for _ in range(PLACES):
        i, j = np.unravel_index(int(left.argmax()), left.shape)
        places.append((int(i), int(j)))
        left[max(0, i - APART) : i + APART + 1, max(0, j - APART) : j + APART + 1] = -np.inf
    return places


def _halved(features: FrameFeatures) -> tuple[Floats, Floats]:
    """Return the features over HALF x HALF cells (3, h, w), and how much of them is usable (h, w)."""
    return _half(features.planes), _half(features.usable[None].astype(np.float32))[0]


def _half(planes: Floats) -> Floats:
    count, height, width = planes.shape
    return np.asarray(planes.reshape(count, height // HALF, HALF, width // HALF, HALF).mean(axis=(2, 4)))


def _turned(pose: Pose, yaw: float) -> Pose:
    """Return a pose turned about its own optical axis."""
    turn = rotation_from_vector(np.array([[0.0, 0.0, yaw]]))[0]
    return Pose(pose.r_ecef, turn @ pose.cam_from_ecef)


def _shifted(pose: Pose, rows: int, columns: int) -> Pose:
    """Return the pose carried over the Earth so that its middle shows what lay `rows`, `columns`
    cells beside it.
    """
    here = middle_of(pose)
    ray = np.array([columns * CELL / MODEL_CAMERA.fx_px, rows * CELL / MODEL_CAMERA.fx_px, 1.0])
    ray = ray / np.linalg.norm(ray) @ pose.cam_from_ecef
    there = ellipsoid_intersection(pose.r_ecef[None], ray[None])[0]
    if not (np.isfinite(here).all() and np.isfinite(there).all()):
        return pose
    return carried(pose, here, there)


def carried(pose: Pose, here: Array, there: Array) -> Pose:
    """Return a pose turned about the Earth's middle by the smallest rotation from one point to another."""
    axis = np.cross(here, there)
    sine = float(np.linalg.norm(axis))
    if sine == 0.0:
        return pose
    angle = float(np.arctan2(sine, here @ there))
    turn = rotation_from_vector((axis * (angle / sine))[None])[0]
    return Pose(turn @ pose.r_ecef, pose.cam_from_ecef @ turn.T)
