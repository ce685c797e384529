"""The bare ground of a frame: the imagery resampled to where the pixels look."""

import cv2
import numpy as np
from numpy.typing import NDArray

from flightsw.camera.model import Camera
from groundtools.imagery import Imagery, SeaMode
from groundtools.imagery.mercator import level_for, pixel_from_lonlat, world_px
from vinsat_sim.scene.grid import RayGrid, geodetic_height

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]
MAX_SOURCE = 6.0  # pixels read for one pixel of the frame; oblique views fall back to coarser levels
MARGIN_PX = 3
CV2_LIMIT_PX = 32_000  # cv2.remap takes no larger source
CENTRAL_LATITUDE_LIMIT = np.deg2rad(84.0)


def ground_pixels(
    grid: RayGrid,
    camera: Camera,
    r_ecef: Array,
    imagery: Imagery,
    *,
    tone: Pixels | None = None,
    sea: SeaMode | None = None,
) -> Pixels:
    """Return the ground (height, width, 3), RGB as in the imagery; sky is black.

    The pyramid level follows the ground sample distance below the satellite. tone :
    optional (256, 1, 3) or (256, 1) table applied to the imagery on the way.
    """
    lon, lat = grid.lonlat()
    middle = (lat.shape[0] // 2, lat.shape[1] // 2)
    lon = lon[middle] + np.remainder(lon - lon[middle] + np.pi, 2.0 * np.pi) - np.pi
    gsd_m = geodetic_height(r_ecef) / min(camera.fx_px, camera.fy_px)
    central = float(np.clip(lat[middle], -CENTRAL_LATITUDE_LIMIT, CENTRAL_LATITUDE_LIMIT))
    level = level_for(gsd_m, central, native_level=imagery.native_level)
    limit = MAX_SOURCE * max(camera.width_px * camera.height_px, 256 * 256)
    while True:
        xy = pixel_from_lonlat(lon, lat, level=level)
        xy[..., 1] = np.clip(xy[..., 1], -2.0, world_px(level) + 2.0)  # beyond: uniform fill
        low = np.floor(xy.min(axis=(0, 1))).astype(int) - MARGIN_PX
        high = np.ceil(xy.max(axis=(0, 1))).astype(int) + MARGIN_PX
        width, height = (int(n) for n in high - low)
        if level == 2 or (width * height <= limit and max(width, height) < CV2_LIMIT_PX):
            break
        level -= 1
    source = imagery.read(*low, *high, level=level, sea=sea)
    pixels = camera.width_px * camera.height_px
    before = source.shape[0] * source.shape[1] < pixels  # whichever is less work
    if tone is not None and before:
        source = cv2.LUT(source, tone)
    where = (xy - low - 0.5).astype(np.float32)  # cv2 counts from pixel centres
    map_x, map_y = grid.upsampled(where[..., 0]), grid.upsampled(where[..., 1])
    out = cv2.remap(source, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if tone is not None and not before:
        out = cv2.LUT(out, tone)
    if grid.sees_sky:
        out[grid.upsampled(grid.clearance) < 0.0] = 0
    return np.asarray(out)
