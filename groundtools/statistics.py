"""Intervals for figures from few trials."""

import math

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959_963_985  # standard normal quantile of a two-sided 95 % interval


def wilson_interval(successes: int, trials: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a share; None of no trials.

    Wilson, J. Am. Stat. Assoc. 22 (1927): right also at shares near 0 and 1, where the
    usual normal interval is empty.
    """
    if trials == 0:
        return None
    share = successes / trials
    scale = 1.0 + Z95**2 / trials
    centre = (share + Z95**2 / (2.0 * trials)) / scale
    half = Z95 / scale * math.sqrt(share * (1.0 - share) / trials + Z95**2 / (4.0 * trials**2))
    return max(0.0, centre - half), min(1.0, centre + half)  # rounding steps over the ends


def median_interval(values: NDArray[np.float64], *, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of the median of values (N,), by resampling."""
    draws = np.random.default_rng(seed).choice(values, size=(2000, len(values)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(low), float(high)
