"""Clouds for training views: a bank of fractal fields, cut, turned, scaled, thresholded.

Each field holds ranks (0..255, uniform), so cutting it at 1 - cover gives the cover
asked for, on average over the field; slopes of -1.7 to -2.4 in amplitude give anything
from broken cumulus to fronts. One bank is made per process, in about two seconds.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

FIELD_PX = 1024
FIELDS = 16
CLOUDY = 0.8  # part of the views with clouds
SHADOW_REACH_KM = 8.0
CLEAR_THICKNESS = 0.3  # a landmark counts as cloud-free below this mean thickness


@lru_cache(maxsize=1)
def cloud_bank() -> NDArray[np.uint8]:
    """Return (FIELDS, FIELD_PX, FIELD_PX) ranks of periodic fractal noise, always the same."""
    rng = np.random.default_rng(20)
    frequency = np.hypot(*np.meshgrid(np.fft.rfftfreq(FIELD_PX), np.fft.fftfreq(FIELD_PX)))
    frequency[0, 0] = 1.0
    bank = np.empty((FIELDS, FIELD_PX, FIELD_PX), np.uint8)
    for k in range(FIELDS):
        slope = rng.uniform(1.35, 2.1)
        spectrum = np.fft.rfft2(rng.standard_normal((FIELD_PX, FIELD_PX))) * frequency**-slope
        spectrum[0, 0] = 0.0
        field = np.fft.irfft2(spectrum).astype(np.float32)
        low, high = np.quantile(field, [0.001, 0.999])
        ranks = np.interp(field, np.quantile(field, np.linspace(0, 1, 256)), np.arange(256))
        bank[k] = np.where(field < low, 0, np.where(field > high, 255, ranks)).astype(np.uint8)
    return bank


def draw_cover(rng: np.random.Generator) -> float:
    """Draw the cover of a view: none in one of five, else up to all, mostly broken."""
    if rng.uniform() > CLOUDY:
        return 0.0
    return float(rng.uniform() if rng.uniform() < 0.15 else rng.beta(1.2, 2.6))


def cloud_thickness(
    rng: np.random.Generator, shape: tuple[int, int], cover: float, px_km: float
) -> NDArray[np.float32]:
    """Return thickness (h, w) in 0..1 for pixels of `px_km`.

    A field's finest texture spans 1 to 5 km here, so edges are as fine as the real ones.
    """
    bank = cloud_bank()
    zoom = px_km / np.exp(rng.uniform(np.log(0.5), np.log(2.5)))  # field px a view px
    angle = rng.uniform(0.0, 2.0 * np.pi)
    c, s = zoom * np.cos(angle), zoom * np.sin(angle)
    x, y = rng.uniform(0.0, FIELD_PX, 2)
    warp = np.array([[c, -s, x], [s, c, y]], np.float32)
    ranks = cv2.warpAffine(
        bank[rng.integers(len(bank))],
        warp,
        (shape[1], shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_WRAP,
    )
    softness = rng.uniform(0.05, 0.35)
    table = np.clip((np.arange(256) / 255.0 - (1.0 - cover)) / softness + 0.3, 0.0, 1.0)
    return np.asarray(table.astype(np.float32)[ranks])


def add_clouds(
    rng: np.random.Generator, rgb: NDArray[np.float32], thickness: NDArray[np.float32], px_km: float
) -> NDArray[np.float32]:
    """Return the view (h, w, 3), 0..255, under clouds and their shadows."""
    reach_px = rng.uniform(0.0, SHADOW_REACH_KM) / px_km
    angle = rng.uniform(0.0, 2.0 * np.pi)
    shift = (round(reach_px * np.sin(angle)), round(reach_px * np.cos(angle)))
    shadow = np.float32(rng.uniform(0.0, 0.45)) * np.roll(thickness, shift, axis=(0, 1))
    rgb = rgb * (1.0 - shadow[..., None])
    brightness = rng.uniform(190.0, 255.0)
    tint = brightness + rng.normal(0.0, 3.0, 3)
    densest = rng.uniform(0.4, 0.85) if rng.uniform() < 0.25 else rng.uniform(0.85, 1.0)  # thin or thick
    opacity = thickness[..., None] * np.float32(densest)
    shaded = tint.astype(np.float32) * (0.82 + 0.18 * thickness[..., None])
    return np.asarray(rgb + opacity * (shaded - rgb), np.float32)
