"""Frames that agree as a whole, and the runs they come in.

A detector errs frame by frame and for a while: one bad frame is followed by others, shifted
alike. So what speaks for an orbit is not how many detections agree, but in how many frames
most do, and in how many runs of such frames: two runs with others between them are two
witnesses, and that both are shifted by the same is a matter of chance.
"""

import numpy as np
from numpy.typing import NDArray

from flightsw.estimate.sightings import Sightings

BoolArray = NDArray[np.bool_]

MOST = 0.5  # of a frame's detections
LEAST_RUN = 2  # frames


def whole_frames(sightings: Sightings, agrees: BoolArray) -> BoolArray:
    """Return which frames (F,) hold two detections or more that agree, and these are most; agrees (N,)."""
    count = np.bincount(sightings.frame)
    close = np.bincount(sightings.frame, weights=agrees.astype(np.float64))
    return np.asarray((close >= 2.0) & (close > MOST * count))


def runs(sightings: Sightings, agrees: BoolArray, here: BoolArray) -> int:
    """Return in how many runs of two frames or more most detections agree; here (N,) : of one pass."""
    first, last = np.flatnonzero(here)[[0, -1]]
    frame = sightings.frame[first : last + 1] - sightings.frame[first]
    share = np.bincount(frame, weights=agrees[first : last + 1].astype(np.float64)) / np.bincount(frame)
    marked = np.concatenate([[False], share > MOST, [False]])
    edges = np.flatnonzero(marked[1:] != marked[:-1])
    return int(np.sum(edges[1::2] - edges[::2] >= LEAST_RUN))
