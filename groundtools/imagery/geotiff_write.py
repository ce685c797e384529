"""Cloud-optimised GeoTIFFs, written whole or not at all, the same bytes every time."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundtools.imagery.mosaics import Grid

BLOCK_PX = 512


def cog_bytes(
    bands: NDArray[Any],
    grid: Grid | None,
    *,
    nodata: int | None = 0,
    resampling: str = "average",
    tags: dict[str, str] | None = None,
) -> bytes:
    """Return the COG of bands (n, h, w); grid None: a picture without coordinates."""
    import rasterio
    from rasterio.io import MemoryFile

    count, height, width = bands.shape
    profile: dict[str, Any] = {
        "driver": "COG",
        "width": width,
        "height": height,
        "count": count,
        "dtype": str(bands.dtype),
        "nodata": nodata,
        "compress": "DEFLATE",
        "predictor": "YES",
        "blocksize": BLOCK_PX,
        "overview_resampling": resampling,
        "bigtiff": "IF_SAFER",
        "num_threads": "1",
    }
    if grid is not None:
        profile |= {"crs": f"EPSG:{grid.epsg}", "transform": rasterio.Affine(*grid.affine)}
    with warnings.catch_warnings(), rasterio.Env(GDAL_NUM_THREADS="1"), MemoryFile() as memory:
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with memory.open(**profile) as dataset:
            dataset.write(bands)
            if tags:
                dataset.update_tags(**tags)  # the COG driver drops namespaces
        return bytes(memory.read())


def write_cog(path: Path, bands: NDArray[Any], grid: Grid, *, nodata: int, resampling: str) -> None:
    """Write a COG without further tags."""
    write_durably(path, cog_bytes(np.ascontiguousarray(bands), grid, nodata=nodata, resampling=resampling))


def write_durably(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, flush it to the disk, rename it into place.

    Raises OSError where the disk is full or the folder read-only; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
