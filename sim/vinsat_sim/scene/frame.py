"""`render_frame`: what a camera at a pose sees of a scene."""

from dataclasses import dataclass, field

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from flightsw.astro.geodesy import geodetic_up, lla_from_ecef
from flightsw.camera.model import Camera
from flightsw.camera.project import observe
from groundtools.imagery import Imagery, SeaMode
from vinsat_sim.clouds import CloudField
from vinsat_sim.scene.grid import geodetic_height, ray_grid
from vinsat_sim.scene.ground import ground_pixels
from vinsat_sim.scene.radiometry import (
    Radiometry,
    exposure,
    noise_cut,
    shading,
    tone_table,
    with_clouds,
)

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
CLOUD_STEP_M = 1500.0  # on the ground: clouds are drawn this finely
CLOUD_HEIGHT_M = 2500.0  # above the ground their shadow falls on
MAX_SHADOW_M = 12e3
TILE_ROWS, TILE_COLUMNS = 128, 1152  # of the final sum: small enough to stay in the cache
P_STEPS = 96.0
DARK = 2e-3  # a frame with less light than this is black


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to see: imagery, clouds (None: a clear sky), the camera's radiometry."""

    imagery: Imagery
    clouds: CloudField | None = None
    radiometry: Radiometry = field(default_factory=Radiometry)
    sea: SeaMode | None = None


def render_frame(
    scene: Scene,
    camera: Camera,
    r_ecef: Array,
    cam_from_ecef: Array,
    sun_direction_ecef: Array,
    *,
    seed: int | tuple[int, ...] = 0,
) -> Pixels:
    """Return the frame (height, width, 3), RGB.

    r_ecef (3,) m; cam_from_ecef (3, 3); sun_direction_ecef (3,) unit vector. The world
    is the ellipsoid: no relief. Sky is black, night is dark. seed : of exposure and
    noise; the same arguments give the same bytes. The shutter is global.
    """
    rng = np.random.default_rng(seed)
    radiometry = scene.radiometry
    grid = ray_grid(camera, r_ecef, cam_from_ecef)
    sun_cosine = grid.up @ sun_direction_ecef
    middle = tuple(n // 2 for n in sun_cosine.shape)
    gain = exposure(radiometry, float(sun_cosine[middle]), rng)
    lit, p, q = shading(grid, radiometry, sun_direction_ecef, gain)
    if lit.max() < DARK:
        ground = np.zeros((camera.height_px, camera.width_px, 3), np.uint8)
        return _sum(ground, np.zeros_like(p), q, grid.step, radiometry, rng)
    ground = ground_pixels(grid, camera, r_ecef, scene.imagery, tone=tone_table(radiometry), sea=scene.sea)
    if radiometry.saturation != 1.0:
        ground = _desaturated(ground, radiometry.saturation)
    if scene.clouds is None:
        step = grid.step
        small_p, small_q = np.asarray(p, np.float32), np.asarray(q, np.float32)
    else:
        step = _cloud_step(camera, r_ecef)
        opacity = scene.clouds.thickness_seen(grid, step)
        shadow = _towards_sun(opacity, camera, r_ecef, cam_from_ecef, sun_direction_ecef, step)
        fine = [grid.upsampled(nodes, step=step) for nodes in (lit, p, q)]
        small_p, small_q = with_clouds(opacity, shadow, fine[0], fine[1], fine[2], radiometry)
    out = _sum(ground, small_p, small_q, step, radiometry, rng)
    if grid.sees_sky:
        out[grid.upsampled(grid.clearance) < 0.0] = 0
    return out


def _desaturated(ground: Pixels, saturation: float) -> Pixels:
    """Return the ground with its colours drawn towards grey (below 1) or away from it."""
    grey = np.array([0.3, 0.5, 0.2])
    matrix = saturation * np.eye(3) + (1.0 - saturation) * np.ones((3, 1)) * grey
    return np.asarray(cv2.transform(ground, matrix.astype(np.float32)))


def _cloud_step(camera: Camera, r_ecef: Array) -> int:
    gsd_m = geodetic_height(r_ecef) / camera.fx_px
    return int(2 ** np.clip(np.floor(np.log2(CLOUD_STEP_M / gsd_m)), 1, 4))


def _towards_sun(
    opacity: Floats,
    camera: Camera,
    r_ecef: Array,
    cam_from_ecef: Array,
    sun_ecef: Array,
    step: int,
) -> Floats:
    """Return the opacity met on the way from each cell's ground to the Sun.

    It is the opacity shifted by one distance for the whole frame: that of the centre.
    """
    lat, lon, height = lla_from_ecef(r_ecef)
    up = geodetic_up(lat, lon)
    below = r_ecef - height * up
    sine = float(up @ sun_ecef)
    level = sun_ecef - sine * up
    reach = min(CLOUD_HEIGHT_M / max(sine, 0.05), MAX_SHADOW_M)
    uv_px, _, _ = observe(camera, cam_from_ecef, r_ecef, np.stack([below, below + reach * level]))
    du, dv = (uv_px[1] - uv_px[0]) / step
    if not np.isfinite(du + dv):
        return opacity
    return np.asarray(
        cv2.warpAffine(
            opacity,
            np.array([[1.0, 0.0, du], [0.0, 1.0, dv]]),
            opacity.shape[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def _sum(
    ground: Pixels,
    p: Array | Floats,
    q: Array | Floats,
    step: int,
    radiometry: Radiometry,
    rng: np.random.Generator,
) -> Pixels:
    """Return ground * P + Q + noise, where P, Q (r, c, 3) have cells of `step` px and one ring.

    P is held in steps of 1/P_STEPS and Q in grey levels, both in bytes: eight times
    faster than floats, and below the noise.
    """
    out = np.empty_like(ground)
    p8 = np.clip(np.asarray(p) * P_STEPS + 0.5, 0.0, 255.0).astype(np.uint8)
    q8 = np.clip(np.asarray(q) + 0.5, 0.0, 255.0).astype(np.uint8)
    for top in range(0, ground.shape[0], TILE_ROWS):
        for left in range(0, ground.shape[1], TILE_COLUMNS):
            tile = ground[top : top + TILE_ROWS, left : left + TILE_COLUMNS]
            value = cv2.multiply(tile, _cut(p8, tile.shape, top, left, step), scale=1.0 / P_STEPS)
            value = cv2.add(value, _cut(q8, tile.shape, top, left, step))
            noise = noise_cut(rng, *tile.shape[:2], sigma=radiometry.noise_sigma)
            cv2.add(
                value,
                noise,
                dst=out[top : top + TILE_ROWS, left : left + TILE_COLUMNS],
                dtype=cv2.CV_8U,
            )
    return out


def _cut(cells: Pixels, shape: tuple[int, ...], top: int, left: int, step: int) -> Pixels:
    """Return the part of a ringed cell array that a tile needs, one value a pixel."""
    rows, columns = -(-shape[0] // step), -(-shape[1] // step)
    part = cells[top // step : top // step + rows + 2, left // step : left // step + columns + 2]
    size = (part.shape[1] * step, part.shape[0] * step)
    full = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
    return full[step : step + shape[0], step : step + shape[1]]


def encode_jpeg(rgb: Pixels, quality: int = 90) -> bytes:
    """Return the JPEG (4:2:0) of an RGB frame (h, w, 3)."""
    return bytes(
        simplejpeg.encode_jpeg(
            np.ascontiguousarray(rgb), quality=quality, colorspace="RGB", colorsubsampling="420"
        )
    )
