"""Drawings of an orbit as SVG, for reports: one look, no network, light and dark.

Text stays text (a page's own font), and colours that must follow the page's light or
dark scheme are the word `currentColor`.
"""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from flightsw.errors import InputError
from groundtools.imagery.shorelines import LAND, load_shorelines
from groundtools.products.comparison import Difference

Array = NDArray[np.float64]

INK = "#123456"  # replaced by currentColor when written
TRACK, SEEN, REFUSED, SIGMA = "#1f9e89", "#e4572e", "#8a8f98", "#d9a441"
COAST_AREA_KM2, COAST_STRIDE = 30_000.0, 6  # what a map 9 inches wide can show
COMPONENTS = ("radial", "along-track", "cross-track")
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "vinsat", "text.color": INK, "axes.edgecolor": INK,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "font.size": 9.0,
    "font.family": "sans-serif", "axes.spines.top": False, "axes.spines.right": False,
    "axes.facecolor": "none", "legend.frameon": False,
}  # fmt: skip


def svg_of(figure: Figure) -> str:
    """Return a figure as SVG without a header; equal figures give equal text."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor").strip() + "\n"


def draw_difference(result: Difference) -> str:
    """Return the three components over time, with the solution's own 3 sigma."""
    with _style():
        figure = Figure(figsize=(9.0, 5.6), layout="constrained")
        panels = figure.subplots(3, 1, sharex=True)
        minutes = (result.t_s - result.t_s[0]) / 60.0
        for axes, name, value, sigma in zip(panels, COMPONENTS, result.rtn.T, result.sigma.T, strict=True):
            axes.axhline(0.0, color=REFUSED, linewidth=0.6)
            if np.isfinite(sigma).all():
                axes.fill_between(minutes, -3.0 * sigma, 3.0 * sigma, color=SIGMA, alpha=0.25, linewidth=0.0)
            axes.plot(minutes, value, color=TRACK, linewidth=1.3)
            axes.set_ylabel(f"{name}, m")
        start = (result.epoch + float(result.t_s[0])).utc_iso(0)
        panels[-1].set_xlabel(f"minutes past {start}; shaded: 3 sigma of the solution")
        return svg_of(figure)


def draw_track(
    lon_deg: Array, lat_deg: Array, seen_deg: Array, refused_deg: Array, *, seen: str = "landmarks used"
) -> str:
    """Return the ground track (N,), with points seen and refused (L, 2) lon, lat, on a plain map."""
    with _style():
        figure = Figure(figsize=(9.0, 4.7), layout="constrained")
        axes = figure.subplots()
        _graticule(axes)
        breaks = np.flatnonzero(np.abs(np.diff(lon_deg)) > 180.0) + 1
        lon, lat = np.insert(lon_deg, breaks, np.nan), np.insert(lat_deg, breaks, np.nan)
        axes.plot(lon, lat, color=TRACK, linewidth=1.2, label="ground track")
        for points, colour, label in (
            (refused_deg, REFUSED, "landmarks refused"), (seen_deg, SEEN, seen),
        ):  # fmt: skip
            if len(points):
                axes.scatter(*points.T, s=9.0, color=colour, linewidths=0.0, label=label, zorder=3)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3)
        return svg_of(figure)


def draw_residuals(minutes: Array, residual_px: Array, used: NDArray[np.bool_], sigma_px: float) -> str:
    """Return residuals (N, 2) over time (N,), used and refused apart, and their histogram."""
    with _style():
        figure = Figure(figsize=(9.0, 3.4), layout="constrained")
        over_time, histogram = figure.subplots(1, 2, width_ratios=(2.2, 1.0))
        for column, marker in ((0, "o"), (1, "x")):
            label = ("u", "v")[column]
            over_time.scatter(
                minutes[used], residual_px[used, column], s=8.0, marker=marker, color=TRACK, linewidths=0.8,
                label=f"{label}, used",
            )  # fmt: skip
        limit = max(5.0 * sigma_px, 1.05 * float(np.abs(residual_px[used]).max(initial=1.0)))
        if (~used).any():
            clipped = np.clip(residual_px[~used], -limit, limit)
            for column in (0, 1):
                over_time.scatter(minutes[~used], clipped[:, column], s=6.0, color=REFUSED, linewidths=0.0)
        over_time.set(
            ylim=(-1.1 * limit, 1.1 * limit), xlabel="minutes past the first", ylabel="residual, px"
        )
        over_time.legend(ncols=2, loc="upper left", fontsize=8)
        bins = np.linspace(-limit, limit, 41)
        histogram.hist(residual_px[used].ravel(), bins=bins, color=TRACK, alpha=0.8)
        histogram.set(xlabel="residual, px", ylabel="number")
        return svg_of(figure)


def draw_sigma(hours: Array, sigma_km: Array, passes_h: list[tuple[float, float]], last_h: float) -> str:
    """Return 1 sigma (N,) of the position over hours (N,) past the first observation."""
    with _style():
        figure = Figure(figsize=(9.0, 3.0), layout="constrained")
        axes = figure.subplots()
        axes.plot(hours, sigma_km, color=TRACK, linewidth=1.5)
        axes.axvline(last_h, color=REFUSED, linewidth=0.8, linestyle=":")
        for first, last in passes_h:
            axes.axvspan(first, max(last, first + 0.02), color=SEEN, alpha=0.5, linewidth=0.0)
        axes.set_yscale("log")
        axes.set(xlabel="hours past the first sighting (red: passes)", ylabel="1 sigma of position, km")
        return svg_of(figure)


def draw_chance(hours: Array, chance: Array, until_h: float) -> str:
    """Return a probability that steps up to chance (N,) at hours (N,)."""
    with _style():
        figure = Figure(figsize=(9.0, 2.6), layout="constrained")
        axes = figure.subplots()
        order = np.argsort(hours)
        steps = np.concatenate([[0.0], chance[order], chance[order][-1:]])
        axes.step(np.concatenate([[0.0], hours[order], [until_h]]), steps, where="post", color=TRACK)
        axes.set(xlim=(0.0, until_h), ylim=(0.0, 1.02), xlabel="hours", ylabel="probability")
        axes.grid(color=REFUSED, alpha=0.25, linewidth=0.6)
        return svg_of(figure)


def _graticule(axes: Axes) -> None:
    axes.set(xlim=(-180.0, 180.0), ylim=(-90.0, 90.0), xticks=range(-180, 181, 60), yticks=range(-90, 91, 30))
    axes.set_aspect("equal")
    axes.grid(color=REFUSED, alpha=0.25, linewidth=0.6)
    for lon, lat in coastlines():
        axes.plot(lon, lat, color=REFUSED, linewidth=0.5, alpha=0.8, zorder=1)


def coastlines() -> list[tuple[Array, Array]]:
    """Return crude shorelines (lon, lat in deg), GSHHG; none where their package is not installed."""
    try:
        rings = load_shorelines("l").rings((-180.0, -90.0, 180.0, 90.0), (LAND,), COAST_AREA_KM2)
    except InputError:
        return []
    return [_on_the_map(np.asarray(ring[::COAST_STRIDE], dtype=float)) for ring in rings]


def _on_the_map(ring: Array) -> tuple[Array, Array]:
    """Return a ring's longitudes in -180..180, broken where it leaves the map."""
    lon = np.mod(ring[:, 0] + 180.0, 360.0) - 180.0
    breaks = np.flatnonzero(np.abs(np.diff(lon)) > 180.0) + 1
    return np.insert(lon, breaks, np.nan), np.insert(ring[:, 1], breaks, np.nan)


def _style() -> object:
    import matplotlib

    return matplotlib.rc_context(STYLE)
