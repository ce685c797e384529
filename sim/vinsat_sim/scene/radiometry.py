"""From ground and cloud to grey levels: light, air, lens, exposure, noise.

All of it acts on display values (0..255, gamma 2.2), where a gain on the light L is a
gain L**(1/2.2) on the value, and where shot noise has nearly one sigma at all levels
(d(L**.45)/dL * sqrt(L) ~ L**-.05): hence `noise_sigma` is one number a frame. A frame is

    value = ground * P + Q + noise,   P and Q smooth or as fine as the clouds.
"""

from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vinsat_sim.scene.grid import RayGrid

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
GAMMA = 2.2
AIR_RGB = np.array([11.0, 19.0, 32.0])  # path radiance looking straight down at noon
AIR_LOSS_RGB = np.array([0.05, 0.08, 0.13])  # of the ground's display value, likewise
NOISE_BANK_SHAPE = (512, 1536, 3)


@dataclass(frozen=True, slots=True)
class Radiometry:
    """How a camera renders what it sees; the defaults are the reference camera's.

    tone : exponent of the ground's display value (below 1 lifts the shadows);
    gain_rgb : white balance; saturation : 1 leaves colours, 0 makes grey; haze : share of
    the standard air's light; vignetting : loss at 37 deg off axis; auto_exposure : share
    of the light's change that the exposure makes up for, by at most `max_gain`;
    exposure_sigma : log-normal error of the exposure; noise_sigma, grey levels;
    cloud_value : grey level of a thick cloud at noon; shadow : loss under a thick cloud.
    """

    tone: float = 0.85
    gain_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)
    saturation: float = 1.0
    haze: float = 1.0
    vignetting: float = 0.08
    auto_exposure: float = 0.6
    max_gain: float = 1.6
    exposure_sigma: float = 0.05
    noise_sigma: float = 1.5
    cloud_value: float = 238.0
    shadow: float = 0.45


def random_radiometry(rng: np.random.Generator, *, strength: float = 1.0) -> Radiometry:
    """Return a camera drawn at random around the reference one, for training.

    strength 0 gives the reference; 1 changes tone, white balance, saturation, haze,
    lens, exposure and noise by as much as one camera, season or hour differs from another.
    """

    def around(value: float, spread: float) -> float:
        return float(value * np.exp(rng.uniform(-spread, spread) * strength))

    red, green, blue = (around(1.0, 0.12) for _ in range(3))
    return Radiometry(
        tone=around(0.85, 0.3),
        gain_rgb=(red, green, blue),
        saturation=around(1.0, 0.5),
        haze=around(1.0, 0.7),
        vignetting=around(0.08, 0.7),
        auto_exposure=float(np.clip(around(0.6, 0.4), 0.0, 1.0)),
        exposure_sigma=0.05 + 0.12 * strength,
        noise_sigma=around(1.8, 0.6),
        cloud_value=around(232.0, 0.07),
        shadow=around(0.4, 0.4),
    )


def tone_table(radiometry: Radiometry) -> Pixels:
    """Return the table (256, 1, 3) that takes imagery to the camera's display values."""
    values = np.arange(256.0) / 255.0
    curve = 255.0 * values**radiometry.tone
    out = curve[:, None] * np.array(radiometry.gain_rgb)
    return np.clip(np.round(out), 0, 255).astype(np.uint8)[:, None, :]


def light(sun_cosine: Array) -> Array:
    """Return the display-value factor of sunlight, 1 with the Sun overhead, 0 at night.

    Direct light sin(elevation) through a standard air mass, plus skylight that lasts
    until 6 deg below the horizon.
    """
    elevation = np.maximum(sun_cosine, 0.0)
    direct = elevation * np.exp(-0.12 / (elevation + 0.06))
    sky = 0.06 * np.clip((sun_cosine + 0.105) / 0.3, 0.0, 1.0) ** 2
    return np.asarray(((direct + sky) / (np.exp(-0.12 / 1.06) + 0.06)) ** (1.0 / GAMMA))


def exposure(radiometry: Radiometry, sun_cosine_centre: float, rng: np.random.Generator) -> float:
    """Return the frame's gain on display values."""
    level = max(float(light(np.array(sun_cosine_centre))), 1e-3)
    gain = min(level**-radiometry.auto_exposure, radiometry.max_gain)
    return gain * float(np.exp(radiometry.exposure_sigma * rng.standard_normal()))


def shading(
    grid: RayGrid, radiometry: Radiometry, sun_ecef: Array, gain: float
) -> tuple[Array, Array, Array]:
    """Return at the nodes: light (r, c), and the air's P and Q of bare ground (r, c, 3).

    sun_ecef (3,) : unit vector to the Sun. value = ground * P + Q.
    """
    lens = 1.0 - radiometry.vignetting * grid.off_axis_tan2 / np.tan(np.deg2rad(37.0)) ** 2
    lit = light(grid.up @ sun_ecef) * np.maximum(lens, 0.2) * gain
    air = radiometry.haze / np.maximum(grid.view_cosine, 0.25)
    through = lit[..., None] * np.exp(-air[..., None] * AIR_LOSS_RGB)
    return lit, through, lit[..., None] * air[..., None] * AIR_RGB


def with_clouds(
    opacity: Floats, shadow: Floats, lit: Floats, p: Floats, q: Floats, radiometry: Radiometry
) -> tuple[Floats, Floats]:
    """Return P and Q (r, c, 3) with clouds over the ground.

    opacity (r, c) along the line of sight; shadow (r, c) opacity towards the Sun; lit,
    p, q as from `shading`. A cloud hides the ground and the air below it; its side that
    turns from the Sun (where there is more cloud sunwards) is darker.
    """
    clear = (1.0 - opacity)[..., None]
    relief = np.clip(0.22 * (opacity - shadow), -0.15, 0.05)
    white = radiometry.cloud_value * (0.78 + 0.22 * opacity + relief) * opacity * lit
    ground = 1.0 - radiometry.shadow * shadow
    return p * (clear * ground[..., None]), q * (0.3 + 0.7 * clear) + white[..., None]


@lru_cache(maxsize=24)
def _noise_bank(sigma: float) -> NDArray[np.int16]:
    """Return noise (512, 1536, 3) of `sigma` grey levels, correlated as after demosaicing."""
    return np.round(_unit_noise() * np.float32(sigma)).astype(np.int16)


@cache
def _unit_noise() -> Floats:
    rng = np.random.default_rng(99)
    white = rng.standard_normal(NOISE_BANK_SHAPE, dtype=np.float32)
    soft = cv2.sepFilter2D(white, -1, np.array([0.2, 0.6, 0.2]), np.array([0.2, 0.6, 0.2]))
    mixed = soft + 0.8 * soft.mean(axis=-1, keepdims=True)
    return np.asarray(mixed / mixed.std(), dtype=np.float32)


def noise_cut(rng: np.random.Generator, height: int, width: int, *, sigma: float) -> NDArray[np.int16]:
    """Return noise (height, width, 3), at most 512 x 1536, of `sigma` grey levels: a random
    cut of a bank. sigma is taken in steps of 0.1, so that few banks are made.
    """
    rows, columns, _ = NOISE_BANK_SHAPE
    y, x = rng.integers(0, rows - height + 1), rng.integers(0, columns - width + 1)
    return _noise_bank(round(sigma, 1))[y : y + height, x : x + width]
