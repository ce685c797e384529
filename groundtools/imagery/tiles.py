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


class TileSource(Protocol):
    """Where tiles come from. `direct_level` .. `native_level` are served."""

    native_level: int
    direct_level: int

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
        self.native_level = self.direct_level = _finest(self._where, path)

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
        self.native_level = self.direct_level = _finest(self._where, path)

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
        self.native_level, self.direct_level = native_level, 2

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
    """Imagery of a tile source. Missing tiles are sea, or the embedded colours on land."""

    def __init__(
        self, source: TileSource, *, name: str, credit: str, mask: LandMask | None = None
    ) -> None:
        super().__init__(
            name, credit, native_level=source.native_level, direct_level=source.direct_level, mask=mask
        )
        self._source = source

    def _raw_block(self, level: int, bx: int, by: int) -> Pixels:
        side = BLOCK_PX // TILE_PX
        out = np.empty((BLOCK_PX, BLOCK_PX, 3), np.uint8)
        for dy in range(side):
            for dx in range(side):
                rows = slice(dy * TILE_PX, (dy + 1) * TILE_PX)
                columns = slice(dx * TILE_PX, (dx + 1) * TILE_PX)
                out[rows, columns] = self._tile(level, bx * side + dx, by * side + dy)
        return out

    def _tile(self, level: int, x: int, y: int) -> Pixels:
        content = self._source.tile(level, x, y)
        if content is not None:
            return decode_tile(content, f"tile {level}/{x}/{y}")
        x0, y0 = x * TILE_PX, y * TILE_PX
        water = sea_pixels(x0, y0, TILE_PX, TILE_PX, level=level)
        land = self.land(x0, y0, x0 + TILE_PX, y0 + TILE_PX, level=level)[..., None]
        if land.max() == 0:
            return water
        return flatten_sea(land_colours(x0, y0, TILE_PX, TILE_PX, level=level), water, land)

    def valid(self, x0: int, y0: int, x1: int, y1: int, *, level: int) -> Pixels:
        """Return 255 where the source has a tile or there is nothing but sea."""
        out = self.land(x0, y0, x1, y1, level=level) == 0
        up = max(0, self._source.direct_level - level)
        side = TILE_PX >> up if up < 8 else 1
        count = (256 << level) // side
        for y in range(max(0, y0 // side), min(count, -(-y1 // side))):
            for x in range(x0 // side, -(-x1 // side)):
                if self._source.tile(level + up, x % count, y) is not None:
                    rows = slice(max(0, y * side - y0), (y + 1) * side - y0)
                    out[rows, max(0, x * side - x0) : (x + 1) * side - x0] = True
        return (out * 255).astype(np.uint8)


def decode_tile(content: bytes, name: str) -> Pixels:
    """Return the RGB pixels (256, 256, 3) of an encoded tile; InputError when it is broken."""
    try:
        if content[:2] == b"\xff\xd8":
            pixels = simplejpeg.decode_jpeg(content)
        else:
            bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
            pixels = None if bgr is None else bgr[..., ::-1]
    except ValueError as error:
        raise InputError(f"is not a readable image ({error})", file=name) from error
    if pixels is None or pixels.shape != (TILE_PX, TILE_PX, 3):
        raise InputError(f"is not an image of {TILE_PX} px", file=name)
    return np.asarray(pixels)
