"""`open_imagery`: from what a user types to a provider."""

from pathlib import Path

from flightsw.errors import InputError
from groundtools.imagery.embedded import EmbeddedImagery
from groundtools.imagery.geotiff import GeoTiffImagery
from groundtools.imagery.landmask import LandMask
from groundtools.imagery.port import Imagery
from groundtools.imagery.tiles import (
    NASA_CREDIT,
    FolderSource,
    TarSource,
    TileImagery,
    TileSource,
    UrlSource,
)


def open_imagery(spec: str | Path, *, mask: LandMask | None = None) -> Imagery:
    """Return the provider of a specification; InputError when there is none.

    "embedded" (nothing but pip packages); a tar or folder of XYZ tiles; an address with
    {z}, {x}, {y}; else a raster file that GDAL reads. A file `NAME.credit` beside a tar,
    folder or raster holds the line to credit.
    """
    text = str(spec)
    if text == "embedded":
        return EmbeddedImagery(mask=mask)
    if text.startswith(("http://", "https://")):
        name = text.split("/")[2]
        return TileImagery(UrlSource(text), name=name, credit=_credit(text, None), mask=mask)
    path = Path(spec)
    if path.is_dir() or path.suffix == ".tar":
        source: TileSource = FolderSource(path) if path.is_dir() else TarSource(path)
        return TileImagery(source, name=path.stem, credit=_credit(path.name, path), mask=mask)
    if path.is_file():
        return GeoTiffImagery(path, credit=_credit("", path), mask=mask)
    raise InputError(
        "no such imagery",
        file=text,
        fix='give "embedded", a tar or folder of tiles, https://…/{z}/{x}/{y}.jpeg, or a GeoTIFF',
    )


def _credit(name: str, path: Path | None) -> str:
    if path is not None:
        beside = path.with_name(path.name + ".credit")
        if beside.is_file():
            return beside.read_text(encoding="utf-8").strip()
    if "bmng" in name or "gibs" in name:
        return NASA_CREDIT
    return f"source of {name}" if name else ""
