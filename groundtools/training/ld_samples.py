"""Training crops for the landmark detector, each a pure function of (seed, index).

Most crops are aimed at a landmark, anywhere in a frame; the rest look anywhere near the
region. Labels are projections of the catalogue through the crop's own pose. A landmark
under cloud is neither asked for nor forbidden.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from flightsw.vision.catalog import Catalog
from flightsw.vision.preprocess import MODEL_CAMERA, ld_normalise
from groundtools.imagery.mercator import level_for
from groundtools.landmarks.regions import Region
from groundtools.training.clouds import CLEAR_THICKNESS, add_clouds, cloud_thickness, draw_cover
from groundtools.training.radiometry import develop, expose
from groundtools.training.rasters import Raster, half_raster, load_raster, reach_bounds_deg
from groundtools.training.rendered import RasterImagery, landmarks_clear, picture, renderer, sample_view
from groundtools.training.views import Pose, cut_view, pose_looking_at, project, random_attitude

CROP_PX = 256
EDGE_PX = 6.0  # a landmark nearer to the crop's edge is not asked for
AIMED = 0.85  # part of the crops aimed at a landmark
BUSY = 0.6  # part of the crops that are the fuller one of two: more is learnt from each
NATIVE_LEVEL = 8
LANDMARK_WINDOW_PX = 21  # 13 km at 620 m/px: where cloud hides a landmark
NOISE = 6.0  # grey levels


@dataclass(frozen=True, slots=True)
class LdSource:
    """One imagery around one region, at two levels."""

    fine: Raster
    coarse: Raster

    @property
    def imagery(self) -> RasterImagery:
        """The same under the interface the simulator's renderer reads from."""
        levels = {self.fine.level: self.fine, self.coarse.level: self.coarse}
        return RasterImagery(levels)

    def at(self, altitude: float, lat: float) -> Raster:
        """Return the level that suits a height (m) and latitude (rad), as the renderer does."""
        gsd = altitude / MODEL_CAMERA.fx_px
        return self.fine if level_for(gsd, lat, native_level=NATIVE_LEVEL) == NATIVE_LEVEL else self.coarse


@dataclass(frozen=True, slots=True)
class LdCrop:
    """One crop and its labels.

    image (3, 256, 256) float32; uv_px (K, 2) in the crop; visible (K,): to be found;
    ignored (K,): inside but under cloud or at the edge.
    """

    image: NDArray[np.float32]
    uv_px: NDArray[np.float64]
    visible: NDArray[np.bool_]
    ignored: NDArray[np.bool_]


def ld_sources(region: Region, specs: list[tuple[str, tuple[str, ...]]]) -> list[list[LdSource]]:
    """Return, for each imagery spec with its sea variants, the sources to draw from."""
    bounds = reach_bounds_deg(region.bounds_deg)
    out = []
    for spec, seas in specs:
        fine = [load_raster(spec, bounds, level=NATIVE_LEVEL, sea=sea) for sea in seas]
        out.append([LdSource(raster, half_raster(raster)) for raster in fine])
    return out


@dataclass(frozen=True, slots=True)
class _Aim:
    """Where a crop looks: pose, altitude (m), latitude (rad), corner, landmarks' pixels."""

    pose: Pose
    altitude: float
    lat: float
    corner: tuple[int, int]
    uv_px: NDArray[np.float64]


def draw_crop(
    rng: np.random.Generator,
    region: Region,
    catalog: Catalog,
    sources: list[list[LdSource]],
    *,
    rendered: float = 0.0,
) -> LdCrop:
    """Draw one crop: imagery, place, pose, weather and light.

    rendered : part of the crops that the simulator's renderer makes, 0 without it.
    """
    variants = sources[rng.integers(len(sources))]
    source = variants[rng.integers(len(variants))]
    if rng.uniform() < rendered:
        return _rendered_crop(rng, region, catalog, source)
    aims = [_aim(rng, region, catalog) for _ in range(2 if rng.uniform() < BUSY else 1)]
    aim = max(aims, key=lambda one: int(visibility(one.uv_px, None)[0].sum()))
    window = (*aim.corner, CROP_PX, CROP_PX)
    rgb = cut_view(source.at(aim.altitude, aim.lat), MODEL_CAMERA, aim.pose, window).astype(np.float32)
    thickness = None
    cover = draw_cover(rng)
    if cover > 0.0:
        gsd_km = aim.altitude / MODEL_CAMERA.fx_px / 1e3
        thickness = cloud_thickness(rng, (CROP_PX, CROP_PX), cover, gsd_km)
        rgb = add_clouds(rng, rgb, thickness, gsd_km)
    image = ld_normalise(expose(rng, develop(rng, rgb), noise=NOISE, jpeg=rng.uniform() < 0.8))
    return LdCrop(image, aim.uv_px, *visibility(aim.uv_px, thickness))


def _rendered_crop(rng: np.random.Generator, region: Region, catalog: Catalog, source: LdSource) -> LdCrop:
    """Draw a crop of the simulator's: around a landmark in view, the fullest of a few."""
    module = renderer()
    view = sample_view(module, rng, source.imagery, region.bounds_deg)
    uv_px, inside, clear = landmarks_clear(view, MODEL_CAMERA, catalog.p_ecef)
    size = np.array([MODEL_CAMERA.width_px, MODEL_CAMERA.height_px])
    aims = uv_px[rng.choice(np.flatnonzero(inside), 2)] if inside.any() else rng.uniform(0, size, (1, 2))
    corners = np.clip(aims - rng.uniform(10, CROP_PX - 10, aims.shape), 0, size - CROP_PX).astype(int)
    full = [int(visibility(uv_px - corner, None)[0].sum()) for corner in corners]
    u0, v0 = (int(x) for x in corners[int(np.argmax(full))])
    pixels = picture(module, view, module.crop_camera(MODEL_CAMERA, (u0, v0, CROP_PX, CROP_PX)))
    pixels = simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(pixels, view.quality))
    local = uv_px - (u0, v0)
    visible, ignored = visibility(local, None)
    return LdCrop(ld_normalise(pixels), local, visible & clear, ignored | (visible & ~clear))


def _aim(rng: np.random.Generator, region: Region, catalog: Catalog) -> _Aim:
    """Draw a place, a pose that sees it somewhere in the frame, and a crop around it."""
    if rng.uniform() < AIMED:
        k = rng.integers(len(catalog))
        lon, lat = catalog.lon_deg[k], catalog.lat_deg[k]
    else:
        lon = rng.uniform(region.west_deg - 2.0, region.east_deg + 2.0)
        lat = rng.uniform(region.south_deg - 1.5, region.north_deg + 1.5)
    lon, lat = float(np.deg2rad(lon)), float(np.deg2rad(lat))
    size = np.array([MODEL_CAMERA.width_px, MODEL_CAMERA.height_px])
    at_px = rng.uniform(20.0, size - 20.0)
    attitude = random_attitude(rng)
    pose = pose_looking_at(MODEL_CAMERA, lon, lat, at_px, attitude)
    u0, v0 = np.clip(at_px - rng.uniform(10, CROP_PX - 10, 2), 0, size - CROP_PX).astype(int)
    uv_px = project(MODEL_CAMERA, pose, catalog.p_ecef) - (u0, v0)
    return _Aim(pose, attitude[0], lat, (int(u0), int(v0)), uv_px)


def visibility(
    uv_px: NDArray[np.float64], thickness: NDArray[np.float32] | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return (visible, ignored) for landmarks at uv_px (K, 2) of a crop."""
    with np.errstate(invalid="ignore"):
        inside = ((uv_px >= 0.0) & (uv_px < CROP_PX)).all(axis=1)
        central = ((uv_px >= EDGE_PX) & (uv_px < CROP_PX - EDGE_PX)).all(axis=1)
    clear = inside.copy()
    if thickness is not None and inside.any():
        mean = cv2.blur(thickness, (LANDMARK_WINDOW_PX, LANDMARK_WINDOW_PX))
        at = uv_px[inside].astype(int)
        clear[inside] = mean[at[:, 1], at[:, 0]] < CLEAR_THICKNESS
    visible = central & clear
    return visible, inside & ~visible
