"""A georeferenced raster (GeoTIFF or anything GDAL reads) as imagery; needs `rasterio`."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from flightsw.errors import InputError
from groundtools.imagery.blocks import Pixels, assemble
from groundtools.imagery.landmask import LandMask
from groundtools.imagery.mercator import EQUATOR_M, world_px
from groundtools.imagery.port import SeaMode
from groundtools.imagery.pyramid import BLOCK_PX, Pyramid
from groundtools.imagery.sea import sea_pixels


class GeoTiffImagery(Pyramid):
    """One raster file, reprojected as it is read. Outside of it: flat sea, no picture.

    Its water is a photograph of water, so `sea_default` is "raw".
    """

    sea_default: SeaMode = "raw"

    def __init__(self, path: Path, *, credit: str = "", mask: LandMask | None = None) -> None:
        self._path = path
        self._pid = -1
        self._warped: dict[int, Any] = {}
        native = self._open()
        super().__init__(
            path.stem, credit or f"source of {path.name}", native_level=native, direct_level=2, mask=mask
        )

    def _open(self) -> int:
        """Open the file in this process; return the level its resolution calls for."""
        import rasterio
        from rasterio.warp import calculate_default_transform

        try:
            self._dataset = rasterio.open(self._path)
        except rasterio.errors.RasterioIOError as error:
            raise InputError(f"cannot be read ({error})", file=self._path) from error
        if self._dataset.crs is None:
            raise InputError("has no coordinate system", file=self._path, fix="georeference it first")
        self._pid, self._warped = os.getpid(), {}
        source = self._dataset
        transform, _, _ = calculate_default_transform(
            source.crs, "EPSG:3857", source.width, source.height, *source.bounds
        )
        self._low, self._high = 0.0, 255.0
        if source.dtypes[0] != "uint8":
            small = source.read(1, out_shape=(256, 256), masked=True).compressed()
            self._low, self._high = (float(v) for v in np.percentile(small, [1, 99]))
        return int(np.clip(round(np.log2(EQUATOR_M / 256.0 / transform.a)), 2, 14))

    def _at(self, level: int) -> Any:
        """Return the file warped onto the whole mercator world at `level`."""
        from rasterio.enums import Resampling
        from rasterio.transform import Affine
        from rasterio.vrt import WarpedVRT

        if self._pid != os.getpid():  # GDAL handles do not survive a fork
            self._open()
        if level not in self._warped:
            size = world_px(level)
            pixel = EQUATOR_M / size
            self._warped[level] = WarpedVRT(
                self._dataset,
                crs="EPSG:3857",
                resampling=Resampling.bilinear,
                transform=Affine(pixel, 0.0, -EQUATOR_M / 2, 0.0, -pixel, EQUATOR_M / 2),
                width=size,
                height=size,
                add_alpha=True,
            )
        return self._warped[level]

    def _mask_block(self, level: int, bx: int, by: int) -> Pixels:
        from rasterio.windows import Window

        warped = self._at(level)
        window = Window(bx * BLOCK_PX, by * BLOCK_PX, BLOCK_PX, BLOCK_PX)
        return np.asarray(warped.dataset_mask(window=window))[..., None]

    def _raw_block(self, level: int, bx: int, by: int) -> Pixels:
        from rasterio.windows import Window

        x0, y0 = bx * BLOCK_PX, by * BLOCK_PX
        water = sea_pixels(x0, y0, BLOCK_PX, BLOCK_PX, level=level)
        inside = self._mask_block(level, bx, by) > 0
        if not inside.any():
            return water
        bands = [1, 2, 3] if self._dataset.count >= 3 else [1, 1, 1]
        picture = self._at(level).read(bands, window=Window(x0, y0, BLOCK_PX, BLOCK_PX))
        picture = np.moveaxis(picture, 0, -1).astype(np.float32)
        if (self._low, self._high) != (0.0, 255.0):
            picture = (picture - self._low) * (255.0 / max(self._high - self._low, 1e-6))
        return np.where(inside, np.clip(picture + 0.5, 0, 255).astype(np.uint8), water)

    def valid(self, x0: int, y0: int, x1: int, y1: int, *, level: int) -> Pixels:
        """Return 255 inside the scene, 0 outside."""

        def block_at(bx: int, by: int) -> Pixels:
            return self._cache.get(("valid", level, bx, by), lambda: self._mask_block(level, bx, by))

        nothing = np.zeros(1, np.uint8)
        return assemble(
            block_at,
            (x0, y0, x1, y1),
            level=level,
            block_px=BLOCK_PX,
            channels=1,
            above=nothing,
            below=nothing,
        )[..., 0]
