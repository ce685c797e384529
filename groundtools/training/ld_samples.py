"""Training crops for the landmark detector, each a pure function of (seed, step, number).

A view looks at a place of the region; the crop is taken around one of the landmarks in
it. Labels are projections of the catalogue through the view's own pose. A landmark under
cloud is neither asked for nor forbidden.
"""

from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from flightsw.vision.catalog import Catalog
from flightsw.vision.preprocess import MODEL_CAMERA, ld_normalise
from groundtools.landmarks.regions import Region
from groundtools.training.rasters import HeldImagery, hold_imagery, reach_bounds_deg
from groundtools.training.views import draw_view, landmarks_clear, picture, renderer

CROP_PX = 256
EDGE_PX = 6.0  # a landmark nearer to the crop's edge is not asked for
CROPS_TRIED = 2  # of which the fullest is taken: more is learnt from each
NATIVE_LEVEL = 8


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


def ld_sources(region: Region, specs: list[tuple[str, tuple[str, ...]]]) -> list[list[HeldImagery]]:
    """Return, for each imagery spec with its sea variants, the surroundings of a region."""
    bounds = reach_bounds_deg(region.bounds_deg)
    return hold_imagery(specs, bounds, finest=NATIVE_LEVEL, coarsest=NATIVE_LEVEL - 1)


def draw_crop(
    rng: np.random.Generator, region: Region, catalog: Catalog, sources: list[list[HeldImagery]]
) -> LdCrop:
    """Draw one crop: imagery, place, pose, weather and light."""
    variants = sources[rng.integers(len(sources))]
    imagery = variants[rng.integers(len(variants))]
    view = draw_view(rng, imagery, region.bounds_deg)
    uv_px, inside, clear = landmarks_clear(view, MODEL_CAMERA, catalog.p_ecef)
    size = np.array([MODEL_CAMERA.width_px, MODEL_CAMERA.height_px])
    at_landmarks = inside.any()
    aims = (
        uv_px[rng.choice(np.flatnonzero(inside), CROPS_TRIED)]
        if at_landmarks
        else rng.uniform(0, size, (1, 2))
    )
    corners = np.clip(aims - rng.uniform(10, CROP_PX - 10, aims.shape), 0, size - CROP_PX).astype(int)
    full = [int(central(uv_px - corner).sum()) for corner in corners]
    u0, v0 = (int(x) for x in corners[int(np.argmax(full))])
    pixels = picture(view, renderer().crop_camera(MODEL_CAMERA, (u0, v0, CROP_PX, CROP_PX)))
    pixels = simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(pixels, view.quality))
    local = uv_px - (u0, v0)
    visible = central(local) & clear
    with np.errstate(invalid="ignore"):
        within = ((local >= 0.0) & (local < CROP_PX)).all(axis=1)
    return LdCrop(ld_normalise(pixels), local, visible, within & ~visible)


def central(uv_px: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which landmarks at uv_px (K, 2) of a crop are in it and not at its very edge."""
    with np.errstate(invalid="ignore"):
        return np.asarray(((uv_px >= EDGE_PX) & (uv_px < CROP_PX - EDGE_PX)).all(axis=1))
