"""From a recipe's source table to the source at work."""

from importlib.metadata import entry_points

from flightsw.errors import InputError
from groundtools.dataset.recipe import (
    EarthEngineSource,
    GeoTiffSource,
    Recipe,
    StacSource,
    TilesSource,
    ViewsSource,
)
from groundtools.imagery.mosaics import MosaicSource


def open_source(recipe: Recipe) -> MosaicSource:
    """Return the source of a recipe, ready. Raises InputError or RemoteError."""
    source = recipe.source
    if isinstance(source, StacSource):
        return _stac(recipe, source)
    if isinstance(source, EarthEngineSource):
        return _earth_engine(recipe, source)
    if isinstance(source, TilesSource):
        from groundtools.imagery.tile_mosaics import TileMosaics

        return TileMosaics(level=source.level, sea=source.sea, credit=source.credit, licence=source.licence)
    if isinstance(source, GeoTiffSource):
        from groundtools.imagery.raster_mosaics import RasterMosaics

        return RasterMosaics(
            low=source.low,
            high=source.high,
            resampling=source.resampling,
            credit=source.credit,
            licence=source.licence,
        )
    return _views(source)


def _stac(recipe: Recipe, source: StacSource) -> MosaicSource:
    from groundtools.imagery.stac import StacMosaics, StacOptions
    from groundtools.imagery.stac_catalogues import open_catalogue

    address = embedded_catalogue(recipe) if source.catalog == "embedded" else source.catalog
    options = StacOptions(
        bands=source.bands,
        mask_band=source.mask_band,
        bad_values=source.bad_values,
        cloud_values=source.cloud_values,
        low=source.low,
        high=source.high,
        resampling=source.resampling,
        depth=source.depth,
        masked=recipe.clouds.policy == "mask",
        max_cloud_percent=recipe.clouds.max_percent,
    )
    catalogue = open_catalogue(address, api=source.api)
    return StacMosaics(catalogue, options, credit=source.credit, licence=source.licence)


def embedded_catalogue(recipe: Recipe) -> str:
    """Return the catalogue that the program makes itself for a recipe's regions, made if need be."""
    from groundtools.imagery import open_imagery
    from groundtools.imagery.cache import cache_dir
    from groundtools.imagery.embedded_stac import make_catalogue

    regions = tuple((name, recipe.bounds_deg(name)) for name in recipe.regions)
    return str(make_catalogue(cache_dir("dataset", "embedded"), regions, open_imagery("embedded")))


def _earth_engine(recipe: Recipe, source: EarthEngineSource) -> MosaicSource:
    from groundtools.imagery.earthengine import EarthEngineMosaics, EarthEngineOptions, connect

    options = EarthEngineOptions(
        bands=source.bands,
        low=source.low,
        high=source.high,
        product=source.product,
        depth=source.depth,
        cloud_property=source.cloud_property,
        max_cloud_percent=recipe.clouds.max_percent,
        requests_s=source.requests_s,
        regions=tuple((name, recipe.bounds_deg(name)) for name in recipe.regions),
    )
    connect()
    return EarthEngineMosaics(options, credit=source.credit, licence=source.licence)


def _views(source: ViewsSource) -> MosaicSource:
    for entry in entry_points(group="vinsat.sources"):
        if entry.name == "camera-views":
            found: MosaicSource = entry.load()(
                altitude=(source.altitude_km[0] * 1e3, source.altitude_km[1] * 1e3),
                tilt_deg=source.tilt_deg,
                cloudy=source.cloudy_percent / 100.0,
                credit=source.credit,
                licence=source.licence,
            )
            return found
    raise InputError("no renderer is installed", field="views", fix="pip install 'vinsat[sim]'")
