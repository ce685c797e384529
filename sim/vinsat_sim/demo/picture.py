"""The picture of one demo: where it flew and what it recognised; how far off it was."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from groundtools.imagery import Imagery
from groundtools.imagery.mercator import pixel_from_lonlat, world_px
from vinsat_sim.score import Score

Array = NDArray[np.float64]
Bounds = tuple[float, float, float, float]  # west, south, east, north, deg

MAP_LEVEL = 2  # of the background: 1024 pixels around the Earth
MAP_LATITUDE_DEG = 70.0
WRAP_DEG = 180.0  # a step in longitude larger than this crosses the date line
ACCURACY_KM = 5.0
INK, SUNLIT, NIGHT, SEEN, REGION = "#1b2430", "#ffd24a", "#8fa3b8", "#35e0c0", "#ff7a59"


@dataclass(frozen=True, slots=True)
class Track:
    """The ground track: lon_deg, lat_deg (N,) and whether a frame was taken there (N,)."""

    lon_deg: Array
    lat_deg: Array
    has_frame: NDArray[np.bool_]


def draw_picture(
    path: Path,
    *,
    track: Track,
    score: Score,
    regions: dict[str, Bounds],
    landmarks_deg: Array,
    recognised_t_s: Array,
    imagery: Imagery,
) -> bytes:
    """Write the picture as PNG and return its bytes.

    regions : bounds of those with a detector; landmarks_deg (L, 2) : lon, lat of the
    landmarks recognised; recognised_t_s (F,) : times of the frames they were recognised in.
    """
    figure = Figure(figsize=(11.0, 9.5), layout="constrained", facecolor="white")
    map_axes, error_axes = figure.subplots(2, 1, height_ratios=(1.5, 1.0))
    _draw_map(map_axes, imagery)
    _draw_track(map_axes, track)
    for name, bounds in regions.items():
        _draw_region(map_axes, name, bounds)
    if len(landmarks_deg):
        x, y = _mercator(landmarks_deg[:, 0], landmarks_deg[:, 1]).T
        map_axes.scatter(x, y, s=9, color=SEEN, linewidths=0, label="landmarks recognised", zorder=5)
    map_axes.legend(loc="lower left", fontsize=8, framealpha=0.85, markerscale=2.0)
    _draw_error(error_axes, score, recognised_t_s)
    buffer = io.BytesIO()
    # Without the version, the same demo gives the same bytes on every machine of one kind.
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    path.write_bytes(buffer.getvalue())
    return buffer.getvalue()


def _mercator(lon_deg: Array, lat_deg: Array) -> Array:
    return pixel_from_lonlat(np.deg2rad(lon_deg), np.deg2rad(lat_deg), level=MAP_LEVEL)


def _draw_map(axes: Axes, imagery: Imagery) -> None:
    size = world_px(MAP_LEVEL)
    top = int(_mercator(np.array(0.0), np.array(MAP_LATITUDE_DEG))[1])
    background = imagery.read(0, top, size, size - top, level=MAP_LEVEL)
    axes.imshow(background, extent=(0, size, size - top, top), alpha=0.85)
    axes.set(xlim=(0, size), ylim=(size - top, top))
    longitudes, latitudes = np.arange(-180, 181, 60), np.arange(-60, 61, 30)
    axes.set_xticks(_mercator(longitudes, 0 * longitudes)[:, 0], [_east(lon) for lon in longitudes])
    axes.set_yticks(_mercator(0 * latitudes, latitudes)[:, 1], [_north(lat) for lat in latitudes])
    axes.tick_params(labelsize=8)
    title = "Where it flew, where it took frames, which landmarks it recognised"
    axes.set_title(title, loc="left", fontsize=11)


def _draw_track(axes: Axes, track: Track) -> None:
    lon, lat = track.lon_deg.copy(), track.lat_deg.copy()
    breaks = np.flatnonzero(np.abs(np.diff(lon)) > WRAP_DEG) + 1
    xy = np.insert(_mercator(lon, lat), breaks, np.nan, axis=0)
    axes.plot(xy[:, 0], xy[:, 1], color=NIGHT, linewidth=0.8, label="ground track", zorder=2)
    frames = _mercator(lon, lat)[track.has_frame]
    axes.scatter(frames[:, 0], frames[:, 1], s=3, color=SUNLIT, linewidths=0, label="frames", zorder=3)


def _draw_region(axes: Axes, name: str, bounds: Bounds) -> None:
    west, south, east, north = bounds
    around = np.array([(west, south), (east, south), (east, north), (west, north), (west, south)])
    x, y = _mercator(around[:, 0], around[:, 1]).T
    axes.plot(x, y, color=REGION, linewidth=0.8, zorder=4)
    axes.annotate(name, (x[3], y[3]), fontsize=6, color="white", xytext=(1, 2), textcoords="offset points")


def _draw_error(axes: Axes, score: Score, recognised_t_s: Array) -> None:
    axes.set_title("How far the found orbit is from the true one", loc="left", fontsize=11)
    axes.set(xlabel="minutes from the start", ylabel="km")
    axes.spines[["top", "right"]].set_visible(False)
    if not len(score.t_s):
        axes.text(0.5, 0.5, score.reason, ha="center", va="center", transform=axes.transAxes)
        return
    minutes = score.t_s / 60.0
    axes.plot(minutes, score.error_km, color=INK, linewidth=1.6, label="error")
    axes.plot(minutes, 3.0 * score.sigma_km, color=REGION, linewidth=1.2, linestyle="--", label="3 sigma")
    axes.axhline(ACCURACY_KM, color=NIGHT, linewidth=0.8, linestyle=":", label=f"{ACCURACY_KM:g} km")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(_plain_number))
    axes.yaxis.set_minor_formatter(FuncFormatter(_two_or_five))
    axes.tick_params(which="both", labelsize=8)
    foot = axes.get_xaxis_transform()  # y from 0 at the bottom of the panel to 1 at its top
    recognised = recognised_t_s / 60.0
    axes.vlines(recognised, 0.0, 0.04, transform=foot, color=SEEN, linewidth=1.0, label="frames recognised")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, ncols=4, loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _plain_number(value: float, _: int) -> str:
    return f"{value:g}"


def _two_or_five(value: float, _: int) -> str:
    """Label 0.2, 0.5, 2, 5 and so on; more would not fit."""
    return f"{value:g}" if f"{value:e}"[0] in "25" else ""


def _east(lon: int) -> str:
    return f"{abs(lon)}°" + ("W" if lon < 0 else "E" if lon > 0 else "")


def _north(lat: int) -> str:
    return f"{abs(lat)}°" + ("S" if lat < 0 else "N" if lat > 0 else "")
