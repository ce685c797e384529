"""The flight catalogue: the landmarks of one region, in the detector's class order.

Binary, little-endian: header `VSCT`, version, count, region id; one record a landmark;
CRC-32 of all before it. Class k of the detector is record k. The landmark's public
name is region and number, `17R-012`; the number is stable when a catalogue is rebuilt
with fewer landmarks.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.errors import InputError, ModelError
from flightsw.files import read_bytes, write_together

Array = NDArray[np.float64]

MAGIC = b"VSCT"
VERSION = 1
HEADER = struct.Struct("<4sHH8s")  # magic, version, count, region id (ASCII, NUL-padded)
MAX_BYTES = 16_000_000  # a larger file is none of ours
RECORD = np.dtype(
    [
        ("number", "<u2"),
        ("lon_deg", "<f8"),
        ("lat_deg", "<f8"),
        ("height_m", "<f4"),
        ("size_km", "<f4"),
    ]
)


@dataclass(frozen=True, slots=True)
class Catalog:
    """Landmarks of one region; row k is class k of its detector.

    region : "17R"; number (K,) : the digits of the id; lon_deg, lat_deg (K,) : WGS 84;
    height (K,) : above the ellipsoid, m; size_km (K,) : side of the described patch.
    """

    region: str
    number: NDArray[np.int64]
    lon_deg: Array
    lat_deg: Array
    height: Array
    size_km: Array

    def __len__(self) -> int:
        return len(self.number)

    @property
    def ids(self) -> list[str]:
        """The public names in class order."""
        return [f"{self.region}-{number:03d}" for number in self.number]

    @property
    def p_ecef(self) -> Array:
        """Positions (K, 3), m."""
        return ecef_from_lla(np.deg2rad(self.lat_deg), np.deg2rad(self.lon_deg), self.height)


def write_catalog(path: Path, catalog: Catalog) -> None:
    """Write a catalogue (whole or not at all)."""
    records = np.zeros(len(catalog), RECORD)
    for name in ("number", "lon_deg", "lat_deg", "size_km"):
        records[name] = getattr(catalog, name)
    records["height_m"] = catalog.height
    head = HEADER.pack(MAGIC, VERSION, len(records), catalog.region.encode("ascii"))
    body = head + records.tobytes()
    write_atomic(path, body + struct.pack("<I", zlib.crc32(body)))


def read_catalog(path: Path) -> Catalog:
    """Read a catalogue; ModelError names the file when it is missing, cut or altered."""
    data = read_checked(path, MAGIC, (VERSION,), HEADER.size)
    _, _, count, region = HEADER.unpack_from(data)
    if len(data) != HEADER.size + count * RECORD.itemsize:
        raise ModelError(f"holds {len(data)} bytes, not {count} landmarks", file=path, fix=REPLACE)
    records = np.frombuffer(data, RECORD, count, HEADER.size)
    if not all(np.isfinite(records[name]).all() for name in ("lon_deg", "lat_deg", "height_m")):
        raise ModelError("a coordinate is not a number", file=path, fix=REPLACE)
    if (np.abs(records["lat_deg"]) > 90.0).any() or (np.abs(records["lon_deg"]) > 180.0).any():
        raise ModelError("a coordinate lies off the Earth", file=path, fix=REPLACE)
    return Catalog(
        region=region.rstrip(b"\0").decode("ascii", "replace"),
        number=records["number"].astype(np.int64),
        lon_deg=records["lon_deg"].astype(np.float64),
        lat_deg=records["lat_deg"].astype(np.float64),
        height=records["height_m"].astype(np.float64),
        size_km=records["size_km"].astype(np.float64),
    )


REPLACE = "copy the file again from where the models come from"


def read_checked(path: Path, magic: bytes, versions: tuple[int, ...], header_bytes: int) -> bytes:
    """Return a file's content without its CRC-32 (last 4 bytes), verified.

    versions : that the caller reads. The content starts with 4 bytes of magic and a uint16
    version. ModelError otherwise.
    """
    try:
        data = read_bytes(path, max_bytes=MAX_BYTES)
    except InputError as error:
        raise ModelError(error.problem, file=path, fix=REPLACE) from None
    if len(data) < header_bytes + 4 or data[:4] != magic:
        raise ModelError(f"is not a {magic.decode()} file", file=path, fix=REPLACE)
    body, stated = data[:-4], struct.unpack("<I", data[-4:])[0]
    if zlib.crc32(body) != stated:
        raise ModelError("is altered or cut (checksum differs)", file=path, fix=REPLACE)
    found = struct.unpack_from("<H", body, 4)[0]
    if found not in versions:
        ours = " and ".join(map(str, versions))
        raise ModelError(f"has version {found}, this program reads {ours}", file=path, fix=REPLACE)
    return body


def write_atomic(path: Path, data: bytes) -> None:
    """Write one file of a models folder so that no reader ever sees half of it."""
    write_together(path.parent, {path.name: data})
