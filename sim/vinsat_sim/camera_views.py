"""Camera views for data sets: rendered from large scenes, with the pose each was taken from.

Registered as `camera-views` of the group `vinsat.sources`; the data set builder finds it
there. A view looks at the middle of its product from a random altitude, with any yaw, up
to `tilt_deg` off the nadir, in random light and weather. The camera is a pinhole whose
pixel is the recipe's scale from 550 km, so that an altitude changes the scale as it does
in orbit.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from flightsw.camera.model import Camera
from groundtools.imagery import Imagery, open_imagery
from groundtools.imagery.mosaics import CameraPose, Mosaic, Product
from vinsat_sim.scene.frame import render_frame
from vinsat_sim.views import ViewSampler

NOMINAL_ALTITUDE = 550e3  # m, from which a pixel is the recipe's scale


@dataclass(frozen=True, slots=True)
class CameraViews:
    """See `groundtools.imagery.mosaics.MosaicSource`. altitude : m; cloudy : share of views."""

    altitude: tuple[float, float]
    tilt_deg: float
    cloudy: float
    credit: str
    licence: str

    def make(self, product: Product) -> Mosaic:
        """Return a view of the product's middle, with its pose."""
        rng = np.random.default_rng(product.seed)
        spec = product.scenes[rng.integers(len(product.scenes))]
        grid = product.grid
        ((lon, lat),) = grid.lonlat_from_uv([[grid.width_px / 2, grid.height_px / 2]])
        sampler = ViewSampler(
            _opened(spec),
            (float(lon), float(lat), float(lon), float(lat)),
            altitude=self.altitude,
            max_tilt_deg=self.tilt_deg,
            cloudy=self.cloudy,
        )
        view = sampler.draw(rng)
        focal_px = NOMINAL_ALTITUDE / grid.pixel_m
        camera = Camera(
            grid.width_px, grid.height_px, focal_px, focal_px, grid.width_px / 2, grid.height_px / 2
        )
        pixels = render_frame(
            view.scene, camera, view.r_ecef, view.cam_from_ecef, view.sun_ecef, seed=view.seed
        )
        rows = tuple(tuple(float(x) for x in row) for row in view.cam_from_ecef)
        pose = CameraPose(focal_px, tuple(float(x) for x in view.r_ecef), rows)
        return Mosaic(np.maximum(pixels, 1), (_opened(spec).name,), (), pose=pose)


@lru_cache(maxsize=4)
def _opened(spec: str) -> Imagery:
    return open_imagery(spec)
