"""The dense check: does the whole frame, laid on the map by its pose, look like the map?

A few agreeing landmarks do not prove a place; a quarter of a million square kilometres
that correlate do. The frame's grey is looked up at every cell of the region's reference
map that the pose puts in view, its features taken there (`flightsw.vision.features`)
and correlated with the map's, at the pose and at shifts around it:
    score(s)  = sum of f(x) . m(x + s) / sqrt(sum of f^2  sum of m^2)  over valid cells
    peak      = the largest score within `NEAR` cells of no shift (the pose is not exact)
    ring      = scores at shifts far enough to be other places
    contrast  = (peak - mean(ring)) / std(ring)
    strength  = peak sqrt(number of valid cells)
A right pose has a high peak AND stands out from its own surroundings; repetitive
texture gives the first without the second. Chance reaches a higher peak where little of
the frame is clear, but never a high strength.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla, ellipsoid_intersection, lla_from_ecef
from flightsw.camera.pose_fit import Pose
from flightsw.camera.project import observe, over_horizon, ray_from_pixel
from flightsw.vision.cloud import reduced
from flightsw.vision.features import Floats, Mask, local_features
from flightsw.vision.maps import FEATURE_STEP, MapGrid, ReferenceMap
from flightsw.vision.preprocess import MODEL_CAMERA, ModelFrame

Array = NDArray[np.float64]

NODE = 8  # cells between exactly projected ones; between them linear (error 0.02 px)
NEAR = 2  # cells, 4.8 km
RING = (10, 16)  # cells, 24 and 38 km
MARGIN = 16  # cells of map kept around the view, for the shifts
LATTICE = 16  # cells: views begin at multiples, so that blocks are cells of the map's own lattice
COARSE_BELOW = 750e3  # m of altitude: there 4 model px are about a cell, above it 2
FEWEST_CELLS = 2000  # 11,500 km^2


@dataclass(frozen=True, slots=True)
class DenseScore:
    """Outcome of the check. cells : valid ones, in view, clear and on the map; peak, contrast
    as in the module's head, NaN with too few cells; shift : (rows, columns) of the peak, cells.
    """

    peak: float
    contrast: float
    cells: int
    shift: tuple[int, int] = (0, 0)

    @property
    def strength(self) -> float:
        """The peak in units of what chance gives, which falls with the root of the cells."""
        return self.peak * math.sqrt(self.cells)


@dataclass(frozen=True, slots=True)
class View:
    """A frame laid on a piece of map: features and patch (3, H, W), usable (H, W).

    top, left : the piece's first row and column of the map; uv_px (H, W, 2) : where its
    cells lie in the model frame.
    """

    features: Floats
    usable: Mask
    patch: Floats
    top: int
    left: int
    uv_px: Array


def view_of(frame: ModelFrame, pose: Pose, reference: ReferenceMap) -> View | None:
    """Return a frame laid on the map by its pose, or None where it does not see the map."""
    window = _window(pose, reference.grid)
    if window is None:
        return None
    top, left, bottom, right = window
    uv_px = _cell_pixels(pose, reference, window)
    grey, valid = _rectify(frame, uv_px, 4 if pose.altitude < COARSE_BELOW else 2)
    planes, usable = _features_inside(grey, valid)
    patch = reference.features[top:bottom, left:right].transpose(2, 0, 1).astype(np.float32)
    patch *= np.float32(FEATURE_STEP)
    return View(planes, usable, patch, top, left, uv_px)


def dense_score(frame: ModelFrame, pose: Pose, reference: ReferenceMap) -> DenseScore:
    """Return how well a frame at `pose` agrees with a map."""
    view = view_of(frame, pose, reference)
    return DenseScore(np.nan, np.nan, 0) if view is None else score_of(view)


def score_of(view: View) -> DenseScore:
    """Return how well a frame laid on a map agrees with it."""
    cells = int(view.usable.sum())
    if cells < FEWEST_CELLS:
        return DenseScore(np.nan, np.nan, cells)
    return _correlate(view.features, view.usable, view.patch)


def surface(view: View, reach: int, every: int) -> Array:
    """Return the correlation with the map moved by -reach .. reach cells, every so many, rows by columns."""
    both = _both(view.features, view.usable, view.patch)
    shifts = range(-reach, reach + 1, every)
    return np.array([[both.score((i, j), every) for j in shifts] for i in shifts])


def _window(pose: Pose, grid: MapGrid) -> tuple[int, int, int, int] | None:
    """Return the rows and columns (top, left, bottom, right) of the map in view, or None."""
    u, v = np.meshgrid(np.linspace(0, MODEL_CAMERA.width_px, 9), np.linspace(0, MODEL_CAMERA.height_px, 7))
    rays = ray_from_pixel(MODEL_CAMERA, np.column_stack([u.ravel(), v.ravel()])) @ pose.cam_from_ecef
    ground = ellipsoid_intersection(pose.r_ecef, rays)
    ground = ground[np.isfinite(ground).all(axis=1)]
    if len(ground) == 0:
        return None
    lat, lon, _ = lla_from_ecef(ground)
    middle = grid.west_deg + 0.5 * grid.columns * grid.cell_lon_deg
    east = (np.rad2deg(lon) - middle + 180.0) % 360.0 - 180.0 + middle - grid.west_deg
    row = (grid.north_deg - np.rad2deg(lat)) / grid.cell_lat_deg
    column = east / grid.cell_lon_deg
    top, bottom = (int(np.clip(x, 0, grid.rows)) for x in (row.min() - MARGIN, row.max() + MARGIN + 1))
    sides = (column.min() - MARGIN, column.max() + MARGIN + 1)
    left, right = (int(np.clip(x, 0, grid.columns)) for x in sides)
    top, left = top // LATTICE * LATTICE, left // LATTICE * LATTICE
    if bottom - top < 3 * MARGIN or right - left < 3 * MARGIN:
        return None
    return top, left, bottom, right


def _rectify(frame: ModelFrame, uv_px: Array, step: int) -> tuple[Floats, Mask]:
    """Return the frame's grey (H, W) at pixels (H, W, 2), and where it is of use.

    step : the frame is averaged over step x step pixels first, about a cell.
    """
    grey, clear = reduced(frame, step)
    x, y = uv_px[..., 0] / step - 0.5, uv_px[..., 1] / step - 0.5
    height, width = grey.shape
    with np.errstate(invalid="ignore"):
        inside = (x >= 0.0) & (x <= width - 1.001) & (y >= 0.0) & (y <= height - 1.001)
    x, y = np.where(inside, x, 0.0), np.where(inside, y, 0.0)
    column, row = x.astype(np.int32), y.astype(np.int32)
    a, b = (x - column).astype(np.float32), (y - row).astype(np.float32)
    corner = row * width + column
    flat = grey.ravel()
    value = (flat[corner] * (1 - a) + flat[corner + 1] * a) * (1 - b)
    value += (flat[corner + width] * (1 - a) + flat[corner + width + 1] * a) * b
    seen = clear.ravel()
    for shift in (0, 1, width, width + 1):
        inside = inside & seen[corner + shift]
    return value, inside


def _features_inside(grey: Floats, valid: Mask) -> tuple[Floats, Mask]:
    """Return features (3, H, W) and where they are usable, of the rectangle that holds what is valid:
    elsewhere there are none.
    """
    planes, usable = np.zeros((3, *valid.shape), np.float32), np.zeros_like(valid)
    rows, columns = _extent(valid)
    features, usable[rows, columns] = local_features(grey[rows, columns], valid[rows, columns])
    planes[:, rows, columns] = features.transpose(2, 0, 1)
    return planes, usable


def _extent(mask: Mask) -> tuple[slice, slice]:
    """Return the rows and columns that hold what is True; everything where nothing is."""
    found = []
    for axis in (1, 0):
        at = np.flatnonzero(mask.any(axis=axis))
        found.append(slice(int(at[0]), int(at[-1]) + 1) if len(at) else slice(0, mask.shape[1 - axis]))
    return found[0], found[1]


def _cell_pixels(pose: Pose, reference: ReferenceMap, window: tuple[int, int, int, int]) -> Array:
    """Return the model-frame pixels (H, W, 2) of the window's cells; NaN over the horizon."""
    top, left, bottom, right = window
    grid = reference.grid
    rows = top + np.arange(0.0, bottom - top + NODE, NODE)
    columns = left + np.arange(0.0, right - left + NODE, NODE)
    lat = np.deg2rad(grid.north_deg - (rows + 0.5) * grid.cell_lat_deg)
    lon = np.deg2rad(grid.west_deg + (columns + 0.5) * grid.cell_lon_deg)
    height = reference.height_at(rows[:, None], columns[None, :])
    points = ecef_from_lla(lat[:, None], lon[None, :], height).reshape(-1, 3)
    uv_px, _, _ = observe(MODEL_CAMERA, pose.cam_from_ecef, pose.r_ecef, points)
    uv_px[over_horizon(pose.r_ecef, points)] = np.nan
    nodes = uv_px.reshape(len(rows), len(columns), 2)
    return _between(_between(nodes, bottom - top).transpose(1, 0, 2), right - left).transpose(1, 0, 2)


def _between(nodes: Array, size: int) -> Array:
    """Return values at 0 .. size - 1 from nodes (n, m, 2) at every NODE along axis 0."""
    at = np.arange(size)
    index, fraction = at // NODE, (at % NODE / NODE)[:, None, None]
    return np.asarray(nodes[index] * (1.0 - fraction) + nodes[index + 1] * fraction)


def _correlate(features: Floats, usable: Mask, patch: Floats) -> DenseScore:
    """Return the best score near no shift, against the scores on the ring.

    features, patch : (3, H, W). The ring is read at every second row, half the work.
    """
    angles = np.arange(12) * (2.0 * np.pi / 12)
    near = [(i, j) for i in range(-NEAR, NEAR + 1) for j in range(-NEAR, NEAR + 1)]
    ring = [(round(r * np.sin(t)), round(r * np.cos(t))) for r in RING for t in angles]
    both = _both(features, usable, patch)
    close = np.array([both.score(shift, 1) for shift in near])
    far = np.array([both.score(shift, 2) for shift in ring])
    best = int(close.argmax())
    peak, spread = float(close[best]), max(float(far.std()), 1e-3)
    return DenseScore(peak, (peak - float(far.mean())) / spread, int(usable.sum()), near[best])


@dataclass(frozen=True, slots=True)
class _Both:
    """A frame's features and a map's (3, H, W), what is usable, both their energies (H, W), and
    the rows and columns outside of which nothing is usable.
    """

    features: Floats
    weight: Floats
    patch: Floats
    own: Floats
    theirs: Floats
    extent: tuple[slice, slice]

    def score(self, shift: tuple[int, int], every: int) -> float:
        """Return the correlation with the map moved by `shift` (rows, columns), at every so many rows."""
        (top, bottom), (left, right) = (
            (max(inside.start, max(0, -by)), min(inside.stop, size - max(0, by)))
            for inside, by, size in zip(self.extent, shift, self.weight.shape, strict=True)
        )
        first = max(0, -shift[0])
        top = first + (top - first + every - 1) // every * every
        here = (slice(top, bottom, every), slice(left, right))
        there = (slice(top + shift[0], bottom + shift[0], every), slice(left + shift[1], right + shift[1]))
        product = float(np.einsum("chw,chw->", self.features[:, *here], self.patch[:, *there]))
        own = float(self.own[here].sum(dtype=np.float64))
        theirs = float(np.einsum("hw,hw->", self.theirs[there], self.weight[here]))
        return product / float(np.sqrt(max(own, 1e-9) * max(theirs, 1e-9)))


def _both(features: Floats, usable: Mask, patch: Floats) -> _Both:
    """Return a frame's features and a map's (3, H, W) made ready to be compared."""
    own, theirs = (np.square(planes).sum(axis=0) for planes in (features, patch))
    return _Both(features, usable.astype(np.float32), patch, own, theirs, _extent(usable))
