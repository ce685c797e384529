"""Where STAC items are looked up: catalogues of files, read once, and APIs, asked by the month."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from flightsw.errors import InputError
from groundtools.imagery.errors import RemoteError
from groundtools.imagery.mosaics import Product


class Catalogue(Protocol):
    """Where items are looked up."""

    def find(self, product: Product, max_cloud_percent: float) -> Iterator[list[Any]]:
        """Yield batches of items that meet a product's grid, days and months."""
        ...


class StaticCatalogue:
    """A catalogue of files, read once into a tree of outlines."""

    def __init__(self, address: str) -> None:
        import shapely

        io = _retrying_io()
        try:
            self._items = sorted(_read_catalogue(address, io), key=lambda item: item.id)
        except Exception as error:  # pystac's retrying reader raises bare Exception
            raise _unreadable(address, error) from error
        if not self._items:
            raise InputError("holds no items", file=address, fix="name the catalogue's catalog.json")
        shapes = [shapely.geometry.shape(item.geometry) for item in self._items]
        self._tree = shapely.STRtree(shapes)

    def find(self, product: Product, max_cloud_percent: float) -> Iterator[list[Any]]:
        """Yield one batch: all that fits."""
        import shapely

        area = shapely.Polygon(product.grid.footprint_deg())
        found = [self._items[index] for index in sorted(self._tree.query(area, predicate="intersects"))]
        yield [item for item in found if _fits(item, product, max_cloud_percent)]


class ApiCatalogue:
    """A STAC API, asked month by month in the product's own random order."""

    def __init__(self, address: str) -> None:
        import pystac_client

        try:
            self._client = pystac_client.Client.open(address, stac_io=_api_io())
        except Exception as error:  # requests, pystac and JSON errors have no common base
            raise RemoteError(f"{address}: does not answer as a STAC API ({brief(error)})") from error
        self._address = address

    def find(self, product: Product, max_cloud_percent: float) -> Iterator[list[Any]]:
        """Yield the items of one month after the other."""
        years = range(product.first_day.year, product.last_day.year + 1)
        months = [(year, month) for year in years for month in product.months]
        for index in np.random.default_rng(product.seed).permutation(len(months)):
            year, month = months[index]
            first = datetime(year, month, 1, tzinfo=UTC)
            last = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC) - timedelta(seconds=1)
            try:
                search = self._client.search(
                    collections=[product.collection],
                    bbox=list(product.grid.bounds_deg()),
                    datetime=(first, last),
                    max_items=500,
                )
                found = sorted(search.items(), key=lambda item: item.id)
            except Exception as error:  # see above
                raise RemoteError(f"{self._address}: search failed ({brief(error)})") from error
            yield [item for item in found if _fits(item, product, max_cloud_percent)]


def open_catalogue(address: str, *, api: bool) -> Catalogue:
    """Return the catalogue at a file or address."""
    return ApiCatalogue(address) if api else StaticCatalogue(address)


def _fits(item: Any, product: Product, max_cloud_percent: float) -> bool:
    if item.datetime is None or item.collection_id not in (None, product.collection):
        return False
    day = item.datetime.date()
    cloud = item.properties.get("eo:cloud_cover")
    return (
        product.first_day <= day <= product.last_day
        and day.month in product.months
        and (cloud is None or float(cloud) <= max_cloud_percent)
    )


def _read_catalogue(address: str, io: Any) -> Iterator[Any]:
    import pystac

    catalogue = pystac.Catalog.from_file(address, stac_io=io)
    yield from catalogue.get_items(recursive=True)


def _retrying_io() -> Any:
    from pystac.stac_io import RetryStacIO

    return RetryStacIO(retry=_retry())


def _api_io() -> Any:
    from pystac_client.stac_api_io import StacApiIO

    return StacApiIO(max_retries=_retry(), timeout=60)


def _retry() -> Any:
    from urllib3 import Retry

    return Retry(total=8, backoff_factor=0.25, status_forcelist=[429, 500, 502, 503, 504])


def _unreadable(address: str, error: Exception) -> Exception:
    if address.startswith(("http://", "https://")):
        return RemoteError(f"{address}: cannot be read ({brief(error)}); check the network, then resume")
    if not Path(address).exists():
        return InputError("does not exist", file=address, fix="name the catalogue's catalog.json")
    return InputError(f"is not a STAC catalogue ({brief(error)})", file=address)


def brief(error: Exception) -> str:
    """Return what an error says, on one line, cut to a length that fits a message."""
    return " ".join(str(error).split())[:160] or type(error).__name__
