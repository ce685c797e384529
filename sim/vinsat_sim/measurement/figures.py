"""The figures that studies print: means, ratios to the bound, and what there was to solve."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from groundtools.registry import Check, Interval, noted
from vinsat_sim.measurement.study import Row

Array = NDArray[np.float64]

NOT_TRIED = "NOT_TRIED"


def not_tried(usable_passes: int) -> Row:
    """Return the row of a satellite that had too little to be tried."""
    return {"status": NOT_TRIED, "usable_passes": usable_passes}


def of_case(rows: Iterable[Row], case: str) -> list[Row]:
    """Return the rows of a case that were tried."""
    return [row for row in rows if row["case"] == case and row["status"] != NOT_TRIED]


def solvability(rows: Iterable[Row]) -> Check:
    """Return how many satellites had none, one, or two or more usable passes."""
    passes = np.array(list({row["seed"]: row["usable_passes"] for row in rows}.values()), dtype=int)
    counts = [int(np.sum(passes == 0)), int(np.sum(passes == 1)), int(np.sum(passes >= 2))]
    return noted("satellites with no / one / two or more usable passes", " / ".join(map(str, counts)))


def endings(name: str, rows: list[Row]) -> Check:
    """Return how many of the tried were determined, solved, and wrong."""
    counts = [sum(bool(row[key]) for row in rows) for key in ("determined", "solved", "wrong")]
    return noted(f"{name}: determined / solved / wrong of tried", f"{_joined(counts)} of {len(rows)}")


def _joined(counts: list[int]) -> str:
    return " / ".join(map(str, counts))


def column(rows: Iterable[Row], key: str) -> Array:
    """Return a figure of all rows (N,); infinite where there is none."""
    values = [row.get(key) for row in rows]
    return np.array([np.inf if value is None else value for value in values], dtype=float)


def mean_interval(values: Array) -> Interval:
    """Return the 95 % interval of the mean of values (N,), by resampling; None of fewer than two."""
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    draws = np.random.default_rng(0).choice(values, size=(2000, len(values)))
    low, high = np.percentile(draws.mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def within(
    name: str, value: float, low: float, high: float, *, interval: Interval = None, unit: str = ""
) -> Check:
    """Return a check that passes when low <= value <= high."""
    asked = f"{low:g} to {high:g} {unit}".rstrip()
    ends = interval or (None, None)
    return Check(
        name=name, value=value, passed=bool(low <= value <= high), low=ends[0], high=ends[1], threshold=asked
    )


def ratio_of_rms(rows: list[Row]) -> tuple[float, Interval]:
    """Return sqrt(mean((rms / bound)^2)) over rows, and its 95 % interval.

    The median of the ratio would be about 0.7 even of a perfect estimator: most of an
    error lies in one direction, and half of a normal's draws are below 0.67 sigma.
    """
    squared = (column(rows, "rms_km") / column(rows, "bound_km")) ** 2
    if not len(squared):
        return float("nan"), None
    interval = mean_interval(squared)
    ends = None if interval is None else (float(np.sqrt(interval[0])), float(np.sqrt(interval[1])))
    return float(np.sqrt(squared.mean())), ends
