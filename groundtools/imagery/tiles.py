"""XYZ tiles (256 px, EPSG:3857, z/x/y): from a tar, a folder, or a server with a disk cache."""

import hashlib
import os
import re
import tarfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import simplejpeg

from flightsw.errors import InputError
from groundtools.imagery.blocks import Pixels
from groundtools.imagery.cache import cache_dir, write_atomically
from groundtools.imagery.embedded import land_colours
from groundtools.imagery.landmask import LandMask
from groundtools.imagery.mercator import TILE_PX
from groundtools.imagery.pyramid import BLOCK_PX, Pyramid
from groundtools.imagery.sea import flatten_sea, sea_pixels

NAME = re.compile(r"(?:^|/)(\d+)/(\d+)/(\d+)\.(?:jpe?g|png)$", re.IGNORECASE)
NASA_CREDIT = "NASA Earth Observatory / GIBS (Blue Marble)"
ATTEMPTS = 4  # of a download; a failure is never remembered, a 404 is a missing tile
TIMEOUT = 30.0  # s
BLACK = 24  # grey level that no column with a picture stays below


class TileSource(Protocol):
    """Where tiles come from: level `native_level`, and others if it so happens."""

    native_level: int

    def tile(self, z: int, x: int, y: int) -> bytes | None:
        """Return the encoded tile, or None where there is none."""
        ...


class TarSource:
    """Tiles inside an uncompressed tar, read in place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._where: dict[tuple[int, int, int], tuple[int, int]] = {}
        try:
            with tarfile.open(path, "r:") as archive:
                for member in archive:
                    if match := NAME.search(member.name):
                        key = (int(match[1]), int(match[2]), int(match[3]))
                        self._where[key] = (member.offset_data, member.size)
            self._file = os.open(path, os.O_RDONLY)
        except (OSError, tarfile.TarError) as error:
            raise InputError(f"not a readable tar of tiles ({error})", file=path) from error
        self.native_level = _finest(self._where, path)

    def tile(self, z: int, x: int, y: int) -> bytes | None:
        """Return the encoded tile, or None where the tar has none."""
        if (z, x, y) not in self._where:
            return None
        offset, size = self._where[z, x, y]
        return os.pread(self._file, size, offset)


class FolderSource:
    """Tiles as files `z/x/y.jpeg` (or .jpg, .png) below a folder."""

    def __init__(self, path: Path) -> None:
        self._where = {
            (int(m[1]), int(m[2]), int(m[3])): file
            for file in path.rglob("*")
            if (m := NAME.search(file.as_posix()))
        }
        self.native_level = _finest(self._where, path)

    def tile(self, z: int, x: int, y: int) -> bytes | None:
        """Return the encoded tile, or None where the folder has none."""
        file = self._where.get((z, x, y))
        return file.read_bytes() if file else None


class UrlSource:
    """Tiles of a server, kept on disk once fetched. The pattern holds {z}, {x} and {y}."""

    def __init__(self, pattern: str, *, native_level: int = 8) -> None:
        missing = [part for part in ("{z}", "{x}", "{y}") if part not in pattern]
        if missing:
            raise InputError(f"tile address lacks {', '.join(missing)}", file=pattern)
        self._pattern = pattern
        self._folder = cache_dir("tiles", hashlib.sha256(pattern.encode()).hexdigest()[:16])
        self.native_level = native_level

    def tile(self, z: int, x: int, y: int) -> bytes | None:
        """Return the encoded tile; None where the server says there is none."""
        path = self._folder / f"{z}_{x}_{y}"
        if path.is_file():
            return path.read_bytes() or None
        content = self._fetch(self._pattern.format(z=z, x=x, y=y))
        write_atomically(path, content or b"")
        return content

    def _fetch(self, url: str) -> bytes | None:
        for attempt in range(ATTEMPTS):
            try:
                with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
                    return bytes(response.read())
            except urllib.error.HTTPError as error:
                error.close()  # it holds the connection
                if error.code in (204, 404):
                    return None
                reason: object = error
            except OSError as error:
                reason = error
            time.sleep(0.5 * 2**attempt)
        raise InputError(
            f"cannot be fetched ({reason})", file=url, fix="check the network or use tiles on disk"
        )


def _finest(where: dict[tuple[int, int, int], object], path: Path) -> int:
    if not where:
        raise InputError("holds no tiles named z/x/y.jpeg or .png", file=path)
    return max(z for z, _, _ in where)


class TileImagery(Pyramid):
    """Imagery of a tile source. Missing tiles are sea, or the embedded colours on land.

    Coarser levels come from the native tiles, decoded at 1/2, 1/4 or 1/8 of their size.
    """

    def __init__(self, source: TileSource, *, name: str, credit: str, mask: LandMask | None = None) -> None:
        native = source.native_level
        super().__init__(name, credit, native_level=native, direct_level=max(2, native - 3), mask=mask)
        self._source = source

    def _raw_block(self, level: int, bx: int, by: int) -> Pixels:
        side = TILE_PX >> (self.native_level - level)  # of one native tile, at this level
        count = BLOCK_PX // side
        out = np.empty((BLOCK_PX, BLOCK_PX, 3), np.uint8)
        missing = np.zeros((count, count), np.uint8)
        for dy in range(count):
            for dx in range(count):
                x, y = bx * count + dx, by * count + dy
                content = self._source.tile(self.native_level, x, y)
                if content is None:
                    missing[dy, dx] = 255
                else:
                    rows = slice(dy * side, (dy + 1) * side)
                    tile = decode_tile(content, f"tile {x}/{y}", side)
                    if x == (1 << self.native_level) - 1:
                        tile = without_black_edge(tile)
                    out[rows, dx * side : (dx + 1) * side] = tile
        if missing.any():
            hole = np.kron(missing, np.ones((side, side), np.uint8))[..., None]
            out = np.where(hole, self._without_tiles(level, bx, by), out)
        return out

    def _without_tiles(self, level: int, bx: int, by: int) -> Pixels:
        """Return what stands in for missing tiles: flat sea, embedded colours on land."""
        x0, y0 = bx * BLOCK_PX, by * BLOCK_PX
        water = sea_pixels(x0, y0, BLOCK_PX, BLOCK_PX, level=level)
        land = self.land(x0, y0, x0 + BLOCK_PX, y0 + BLOCK_PX, level=level)[..., None]
        if land.max() == 0:
            return water
        return flatten_sea(land_colours(x0, y0, BLOCK_PX, BLOCK_PX, level=level), water, land)

    def valid(self, x0: int, y0: int, x1: int, y1: int, *, level: int) -> Pixels:
        """Return 255 where the source has a tile or there is nothing but sea."""
        out = self.land(x0, y0, x1, y1, level=level) == 0
        side = max(1, TILE_PX >> (self.native_level - level))
        count = (TILE_PX << level) // side
        step = max(1, (1 << self.native_level) // count)
        for y in range(max(0, y0 // side), min(count, -(-y1 // side))):
            for x in range(x0 // side, -(-x1 // side)):
                if self._source.tile(self.native_level, x % count * step, y * step) is not None:
                    rows = slice(max(0, y * side - y0), (y + 1) * side - y0)
                    out[rows, max(0, x * side - x0) : (x + 1) * side - x0] = True
        return (out * 255).astype(np.uint8)


def without_black_edge(tile: Pixels) -> Pixels:
    """Return a tile whose black right edge, if any, repeats the last column with a picture.

    NASA's Blue Marble tiles lack the last 7 or 8 columns west of 180 deg.
    """
    bright = np.flatnonzero(tile.max(axis=(0, 2)) > BLACK)
    if len(bright) == 0 or bright[-1] == tile.shape[1] - 1:
        return tile
    last = max(0, int(bright[-1]) - 1)  # one more is spoilt by the JPEG's ringing
    tile = tile.copy()
    tile[:, last + 1 :] = tile[:, last : last + 1]
    return tile


def decode_tile(content: bytes, name: str, side: int = TILE_PX) -> Pixels:
    """Return the RGB pixels (side, side, 3) of a tile of 256 px; InputError when broken.

    side : 256, 128, 64 or 32.
    """
    try:
        if content[:2] == b"\xff\xd8":
            pixels = simplejpeg.decode_jpeg(content, min_height=side, min_width=side)
        else:
            encoded = np.frombuffer(content or b"\0", np.uint8)
            bgr = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
            pixels = None if bgr is None else bgr[..., ::-1]
            if pixels is not None and pixels.shape[:2] == (TILE_PX, TILE_PX) and side < TILE_PX:
                pixels = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
    except ValueError as error:
        raise InputError(f"is not a readable image ({error})", file=name) from error
    if pixels is None or pixels.shape != (side, side, 3):
        raise InputError(f"is not an image of {TILE_PX} px", file=name)
    return np.asarray(pixels)
