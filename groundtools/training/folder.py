"""Training from a data set's folder: crops and views cut from its pictures.

A picture is brought to the models' scale at a random yaw and altitude, through JPEG like a
flight frame. Landmarks are looked up in the catalogues that are trained, not in the
folder's label files, so that classes are theirs. What looks like cloud, as the flight
program judges it, hides a landmark: it is then neither asked for nor forbidden.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from flightsw.errors import InputError
from flightsw.vision.catalog import Catalog
from flightsw.vision.cloud import cloudy
from flightsw.vision.preprocess import MODEL_CAMERA, RC_SHAPE, ld_normalise, rc_normalise
from groundtools.dataset import store
from groundtools.dataset.labels import Landmarks, project
from groundtools.dataset.store import Entry
from groundtools.landmarks.regions import REGION_IDS
from groundtools.training.ld_samples import CROP_PX, LdCrop, central
from groundtools.training.rc_samples import RcView, RegionLandmarks, frame_label

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Pixels = NDArray[np.uint8]

ALTITUDE_M = (370e3, 650e3)
NOMINAL_M = 550e3
MODEL_M_PX = NOMINAL_M / MODEL_CAMERA.fx_px  # 620 m
RC_M_PX = 4.0 * MODEL_M_PX
CHIP_M = 12e3  # side of what is looked at around a landmark for clouds
CLEAR = 0.3  # part of it that may look like cloud
EDGE_PX = 2.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture, and where the landmarks (N,) of all catalogues are in it.

    uv_px (N, 2); inside (N,); m_px : the scale in its middle.
    """

    entry: Entry
    uv_px: Array
    inside: Bools
    m_px: float


class DatasetFolder:
    """The pictures of one split, ready to be cut. catalogs : by region, in any order."""

    def __init__(self, folder: Path, catalogs: dict[str, Catalog], *, split: str = "train") -> None:
        if not (folder / store.RECIPE).is_file():
            raise InputError("is no data set (no recipe.toml in it)", file=folder)
        self.folder, self._catalogs = folder, catalogs
        self._landmarks = _stacked(catalogs)
        records = store.read_manifest(folder).values()
        entries = [e for e in records if isinstance(e, Entry) and e.split == split]
        if not entries:
            raise InputError(f"has no pictures of {split}", file=folder, fix="vinsat dataset resume")
        self._seen = [_seen(entry, self._landmarks) for entry in entries]

    def draw_crop(self, rng: np.random.Generator, region: str) -> LdCrop:
        """Return a crop at the detector's scale around one of a region's landmarks."""
        own = self._landmarks.region == REGION_IDS.index(region)
        shows = [seen for seen in self._seen if (seen.inside & own).any()]
        if not shows:
            raise InputError(f"no picture shows a landmark of {region}", file=self.folder)
        seen = shows[rng.integers(len(shows))]
        aim = seen.uv_px[rng.choice(np.flatnonzero(seen.inside & own))]
        scale = MODEL_M_PX * rng.uniform(*ALTITUDE_M) / NOMINAL_M
        offset = rng.uniform(10, CROP_PX - 10, 2) - CROP_PX / 2
        yaw = rng.uniform(0, 2 * np.pi)
        middle = _drawn_in(aim - _turned(scale / seen.m_px, yaw) @ offset, seen, scale, yaw)
        pixels, local = self._cut(rng, seen, middle, scale, (CROP_PX, CROP_PX), yaw)
        local, inside = local[own], seen.inside[own]
        clear = _clear(pixels, local, scale)
        visible = central(local) & inside & clear
        within = ((local >= 0.0) & (local < CROP_PX)).all(axis=1)
        return LdCrop(ld_normalise(pixels), local, visible, within & ~visible)

    def draw_view(self, rng: np.random.Generator, landmarks: RegionLandmarks) -> RcView:
        """Return a view at the classifier's scale, inside one picture.

        landmarks : of all catalogues, in REGIONS' order. Pictures smaller than a frame are
        enlarged to one, as if seen from lower down.
        """
        seen = self._seen[rng.integers(len(self._seen))]
        height, width = RC_SHAPE
        grid = seen.entry.grid
        room = np.array([grid.width_px, grid.height_px]) * seen.m_px
        wanted = RC_M_PX * rng.uniform(*ALTITUDE_M) / NOMINAL_M
        yaw = rng.uniform(0, 2 * np.pi)
        if _largest_scale(room, width, height, yaw) < 0.7 * wanted:
            yaw = float(rng.integers(2)) * np.pi
        scale = min(wanted, _largest_scale(room, width, height, yaw))
        c, s = abs(np.cos(yaw)), abs(np.sin(yaw))
        need = scale / seen.m_px * np.array([width * c + height * s, width * s + height * c])
        slack = np.maximum(np.array([grid.width_px, grid.height_px]) - need, 0.0) / 2
        aim = np.array([grid.width_px, grid.height_px]) / 2 + rng.uniform(-slack, slack)
        pixels, local = self._cut(rng, seen, aim, scale, (width, height), yaw)
        within = ((local >= 0.0) & (local < (width, height))).all(axis=1) & seen.inside
        shown = within & _clear(pixels, local, scale)
        label = frame_label(shown, landmarks)
        return RcView(rc_normalise(pixels.astype(np.float32)), label, shown.astype(np.float32))

    def _cut(
        self,
        rng: np.random.Generator,
        seen: Seen,
        middle_px: Array,
        scale_m_px: float,
        size_px: tuple[int, int],
        yaw: float,
    ) -> tuple[Pixels, Array]:
        """Return pixels (h, w, 3) of a turned, scaled window, and where all landmarks are in it.

        middle_px : of the picture, at the window's middle.
        """
        to_picture = _turned(scale_m_px / seen.m_px, yaw)
        middle = np.array(size_px) / 2
        corners = np.array([[0, 0], [size_px[0], 0], [0, size_px[1]], list(size_px)], float)
        reach = (corners - middle) @ to_picture.T + middle_px
        low = np.floor(reach.min(axis=0)).astype(int) - 2
        high = np.ceil(reach.max(axis=0)).astype(int) + 2
        step = max(1, int(scale_m_px / seen.m_px))
        source = _read_window(self.folder / seen.entry.file, low, high, step)
        # Window pixel centres to source pixel centres (cv2 counts from those).
        matrix = to_picture / step
        shift = (middle_px - to_picture @ middle - low) / step + matrix @ [0.5, 0.5] - 0.5
        affine = np.hstack([matrix, shift[:, None]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        pixels = cv2.warpAffine(source, affine, size_px, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
        pixels = _other_light(rng, np.asarray(pixels))
        jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), int(rng.integers(80, 96)))
        local = (seen.uv_px - middle_px) @ np.linalg.inv(to_picture).T + middle
        return simplejpeg.decode_jpeg(jpeg), local


def _turned(factor: float, yaw: float) -> Array:
    """Return the matrix (2, 2) from window px to picture px; factor : picture px a window px."""
    return factor * np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])


def _drawn_in(middle_px: Array, seen: Seen, scale_m_px: float, yaw: float) -> Array:
    """Return the middle of a crop moved so that the crop lies in the picture as far as it fits."""
    reach = scale_m_px / seen.m_px * CROP_PX / 2 * (abs(np.cos(yaw)) + abs(np.sin(yaw)))
    size = np.array([seen.entry.grid.width_px, seen.entry.grid.height_px], float)
    room = np.minimum(reach, size / 2)
    return np.clip(middle_px, room, size - room)


def _stacked(catalogs: dict[str, Catalog]) -> Landmarks:
    names = [name for name in REGION_IDS if name in catalogs]
    parts = [catalogs[name] for name in names]
    count = [len(part) for part in parts]
    return Landmarks(
        ids=tuple(name for part in parts for name in part.ids),
        region=np.repeat([REGION_IDS.index(name) for name in names], count),
        lon_deg=np.concatenate([part.lon_deg for part in parts]),
        lat_deg=np.concatenate([part.lat_deg for part in parts]),
        size_km=np.concatenate([part.size_km for part in parts]),
        class_id=np.full(sum(count), -1, np.int64),
    )


def _seen(entry: Entry, landmarks: Landmarks) -> Seen:
    uv, side, inside = project(entry, landmarks)
    m_px = entry.grid.pixel_m
    if entry.pose is not None and inside.any():
        m_px = float(np.median(landmarks.size_km[inside] * 1e3 / side[inside]))
    uv = np.where(np.isfinite(uv), uv, -1e9)
    return Seen(entry, uv, inside, m_px)


def _read_window(path: Path, low: NDArray[np.int64], high: NDArray[np.int64], step: int) -> Pixels:
    """Return pixels low..high of a picture, means of `step` a side; what is outside is black."""
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.windows import Window

    cells = -(-(high - low) // step)
    out = np.zeros((int(cells[1]), int(cells[0]), 3), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as dataset:
            whole = np.array([dataset.width, dataset.height])
            first = np.maximum((step - 1 - low) // step, 0)  # of the cells that lie wholly inside
            last = np.minimum((whole - low) // step, cells)
            if (first >= last).any():
                return out
            (left, top), (columns, rows) = low + first * step, last - first
            bands = dataset.read(
                window=Window(int(left), int(top), int(columns * step), int(rows * step)),
                out_shape=(3, int(rows), int(columns)),
                resampling=Resampling.average,
            )
    out[first[1] : last[1], first[0] : last[0]] = np.moveaxis(bands, 0, -1)
    return out


def _largest_scale(room_m: Array, width: int, height: int, yaw: float) -> float:
    """Return the coarsest scale (m/px) at which a turned window fits a picture."""
    c, s = abs(np.cos(yaw)), abs(np.sin(yaw))
    return float(min(room_m[0] / (width * c + height * s), room_m[1] / (width * s + height * c)))


def _clear(pixels: Pixels, local: Array, scale_m_px: float) -> Bools:
    """Tell which places (N, 2) of a window do not look clouded, nor black for want of a picture."""
    side = max(3, round(CHIP_M / scale_m_px)) | 1
    bad = (cloudy(pixels) | (pixels.max(axis=-1) == 0)).astype(np.float32)
    share = cv2.blur(bad, (side, side))
    at = np.clip(local, 0, np.array(pixels.shape[1::-1]) - 1).astype(int)
    return np.asarray(share[at[:, 1], at[:, 0]] < CLEAR)


def _other_light(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Return the picture under another exposure, colour and haze."""
    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.92, 1.08, 3)
    haze = rng.uniform(0.0, 20.0) * np.array([0.7, 0.85, 1.0])
    noise = rng.normal(0.0, rng.uniform(0.0, 3.0), pixels.shape)
    lit = np.where(pixels > 0, pixels * gain + haze + noise, 0.0)
    return np.clip(lit + 0.5, 0, 255).astype(np.uint8)
