"""Drawings of a campaign as SVG: curves over time, errors, where passes were."""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from groundtools.products.figures import REFUSED, SEEN, STYLE, TRACK, coastlines, svg_of
from groundtools.statistics import wilson_interval
from vinsat_sim.montecarlo.summary import LIMITS_KM, Summary

SHADES = ("#440154", "#3b528b", "#21918c", "#5ec962", "#c9a227")  # 1 km to 5 km
LEAST_KM, MOST_KM = 0.01, 1000.0  # of the errors drawn


def draw_curves(summary: Summary) -> str:
    """Return the share within 1 to 5 km at some instant so far, and within 5 km at the instant, over time."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.9), layout="constrained")
        axes = figure.subplots()
        hours = summary.curve_min / 60.0
        n = max(summary.trials, 1)
        for km, colour, counts in zip(LIMITS_KM, SHADES, summary.ever):
            axes.plot(hours, counts / n, color=colour, label=f"{km:g} km")
        if len(hours) and summary.trials:
            band = [wilson_interval(int(count), n) or (0.0, 1.0) for count in summary.ever[-1]]
            axes.fill_between(hours, *np.array(band).T, color=SHADES[-1], alpha=0.2, linewidth=0.0)
            axes.plot(hours, summary.at[-1] / n, color=SHADES[-1], linestyle="--", label="5 km, at that time")
        axes.set(ylim=(0.0, 1.0), xlabel="hours from the start", ylabel="share of satellites")
        axes.legend(title="within, so far", loc="upper left", fontsize=8)
        return svg_of(figure)


def draw_errors(summary: Summary) -> str:
    """Return the distribution of the error at the last image over all trials."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        axes = figure.subplots()
        n = len(summary.errors_km)
        known = np.sort(np.clip(summary.errors_km[np.isfinite(summary.errors_km)], LEAST_KM, MOST_KM))
        if n:
            axes.step(known, np.arange(1, len(known) + 1) / n, color=TRACK, where="post")
        axes.axvline(5.0, color=REFUSED, linewidth=0.8, linestyle=":")
        axes.set(xscale="log", xlim=(LEAST_KM, MOST_KM), ylim=(0.0, 1.0))
        axes.set(xlabel="error at the last image, km", ylabel="share of satellites")
        return svg_of(figure)


def draw_passes(summary: Summary) -> str:
    """Return a map of the passes with sightings."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.4), layout="constrained")
        axes = figure.subplots()
        _map(axes)
        if len(summary.passes):
            axes.scatter(*summary.passes.T, s=5.0, color=SEEN, alpha=0.5, linewidths=0.0, zorder=3)
        return svg_of(figure)


def _map(axes: Axes) -> None:
    axes.set(xlim=(-180.0, 180.0), ylim=(-90.0, 90.0), xticks=range(-180, 181, 60), yticks=range(-90, 91, 30))
    axes.set_aspect("equal")
    axes.grid(color=REFUSED, alpha=0.25, linewidth=0.6)
    for lon, lat in coastlines():
        axes.plot(lon, lat, color=REFUSED, linewidth=0.5, alpha=0.8, zorder=1)
