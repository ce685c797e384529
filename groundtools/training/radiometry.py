"""What light, air and sensor do to a training view: drawn wide, cheap, one place.

Order as in nature: ground, clouds (elsewhere), air light, exposure and colour response,
noise, JPEG. Values are grey levels 0..255.
"""

import numpy as np
import simplejpeg
from numpy.typing import NDArray


def develop(rng: np.random.Generator, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the view (h, w, 3) as an unknown camera in unknown air would give it."""
    haze = max(0.0, rng.uniform(-0.15, 0.3))
    air = np.array([150.0, 172.0, 198.0]) + rng.normal(0.0, 12.0) + rng.normal(0.0, 6.0, 3)
    gain = np.exp(rng.normal(-0.03, 0.2) + rng.normal(0.0, 0.07, 3))
    gamma = np.exp(rng.normal(0.0, 0.15))
    saturation = rng.uniform(0.5, 1.6)
    mixing = saturation * np.eye(3) + (1.0 - saturation) / 3.0
    slope = (1.0 - haze) * mixing * gain[:, None]
    offset = haze * gain * air + rng.normal(0.0, 4.0)
    linear = rgb @ slope.T.astype(np.float32) + offset.astype(np.float32)
    table = (255.0 * np.linspace(0.0, 1.0, 1024) ** gamma).astype(np.float32)
    index = np.clip(linear * np.float32(1023.0 / 255.0), 0.0, 1023.0).astype(np.int16)
    return np.asarray(table[index])


def expose(
    rng: np.random.Generator, rgb: NDArray[np.float32], *, noise: float, jpeg: bool
) -> NDArray[np.uint8]:
    """Return uint8 pixels with Gaussian noise of up to `noise` grey levels (half of
    the views have none), and JPEG losses."""
    sigma = rng.uniform(-noise, noise)
    if sigma > 0.0:  # half of the views: the draw costs as much as the geometry
        rgb = rgb + np.float32(sigma) * rng.standard_normal(rgb.shape, np.float32)
    pixels = np.clip(rgb + np.float32(0.5), 0.0, 255.0).astype(np.uint8)
    if not jpeg:
        return pixels
    quality = int(rng.integers(75, 96))
    return np.asarray(simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(pixels, quality)))
