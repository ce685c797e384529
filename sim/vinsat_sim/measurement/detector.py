"""How a detector errs: heavy tails, biases that last a pass, bad frames that come in runs.

An error in pixels of the reference camera (4608 x 2592) is the sum of
    noise        per detection, Student's t in two dimensions (Gaussian for `tails` = inf),
    landmark     a bias of each landmark for a whole pass, alike,
    pass         a bias of all detections of a pass,
and in bad frames, which come in bursts, of gross errors: in half of the bursts all
detections are shifted alike, in the other half each lies anywhere around.

`PUBLISHED` is fitted to 120,000 published detections of the reference system (confidence
above 0.8): median 6.2, p99 34 px, biases up to 2.4 px an image sequence, 2 to 11 % of
the detections beyond 30 px. `SHIPPED` is fitted to what the shipped vision accepts in
rendered frames (`vinsat reproduce detector-realism`): its noise is small, but a patch of
the map is displaced alike for a whole pass, and no frame is bad. `TRACKED` is fitted to
`vinsat reproduce tracking` (maps and frames of one imagery): single frames do not tell a
patch's noise from its bias, so all of it is a bias, which no number of frames averages away.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]

SCATTER_PX = 600.0  # half width of the square in which scattered detections lie
SHIFT_PX = (30.0, 500.0)  # length of a shift, log-uniform


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorErrors:
    """noise_px, landmark_px : scale per axis; pass_px : 1 sigma per axis; bad_share : of frames.

    tails, landmark_tails : degrees of freedom of noise and landmark biases. The latter is
    not in the text of a set, which stored trials are known by.
    """

    noise_px: float
    tails: float = float("inf")
    landmark_px: float = 0.0
    pass_px: float = 0.0
    bad_share: float = 0.0
    burst_frames: float = 6.0
    landmark_tails: float = field(default=float("inf"), repr=False)


PUBLISHED = DetectorErrors(noise_px=4.3, tails=3.3, landmark_px=1.5, pass_px=1.2, bad_share=0.04)

SHIPPED = DetectorErrors(noise_px=0.79, tails=2.3, landmark_px=3.18, landmark_tails=5.9, pass_px=0.93)
TRACKED = DetectorErrors(noise_px=0.0, landmark_px=0.40, landmark_tails=1.9, pass_px=0.16)
ERRORS = {"published": PUBLISHED, "shipped": SHIPPED}


def white(noise_px: float, *, bad_share: float = 0.0) -> DetectorErrors:
    """Return Gaussian noise of `noise_px` per axis, with a share of bad frames."""
    return DetectorErrors(noise_px=noise_px, bad_share=bad_share)


class Bursts:
    """Bad frames that come in bursts; counts frames with landmarks only."""

    def __init__(self, rng: np.random.Generator, *, bad_share: float, burst_frames: float = 6.0) -> None:
        self._rng = rng
        self._bad_share, self._frames = bad_share, burst_frames
        self._left = 0
        self._kind = "good"
        self.is_bad = False  # the last frame
        self._shift = np.zeros(2)

    def spoil(self, uv_px: Array) -> Array:
        """Return the next frame's detections (n, 2), spoiled if the frame is bad."""
        rng = self._rng
        if self._left == 0:
            self._left = int(rng.geometric(1.0 / self._frames))
            kinds = ("shifted", "scattered") if rng.random() < self._bad_share else ("good", "good")
            self._kind = kinds[int(rng.integers(2))]
            turn = rng.uniform(0.0, 2.0 * np.pi)
            size = np.exp(rng.uniform(*np.log(SHIFT_PX)))
            self._shift = size * np.array([np.cos(turn), np.sin(turn)])
        self._left -= 1
        self.is_bad = self._kind != "good"
        if self._kind == "shifted":
            return np.asarray(uv_px + self._shift)
        if self._kind == "scattered":
            return np.asarray(uv_px + rng.uniform(-SCATTER_PX, SCATTER_PX, uv_px.shape))
        return uv_px


def detected(
    uv_px: Array,
    frame: IntArray,
    landmark_in_pass: IntArray,
    one_pass: IntArray,
    errors: DetectorErrors,
    rng: np.random.Generator,
) -> tuple[Array, NDArray[np.bool_]]:
    """Return where the detector sees landmarks that are at uv_px (N, 2), and which of it is bad (N,).

    frame, landmark_in_pass, one_pass (N,) : labels from 0 of who errs together; frame
    ascending.
    """
    n = len(uv_px)
    out = uv_px + errors.noise_px * student(n, errors.tails, rng)
    biases = (
        (errors.landmark_px, errors.landmark_tails, landmark_in_pass),
        (errors.pass_px, float("inf"), one_pass),
    )
    for scale, tails, label in biases:
        if scale > 0.0 and n:
            out = out + scale * student(int(label.max()) + 1, tails, rng)[label]
    is_bad = np.zeros(n, dtype=bool)
    if errors.bad_share > 0.0 and n:
        bursts = Bursts(rng, bad_share=errors.bad_share, burst_frames=errors.burst_frames)
        for rows in np.split(np.arange(n), np.flatnonzero(np.diff(frame)) + 1):
            out[rows] = bursts.spoil(out[rows])
            is_bad[rows] = bursts.is_bad
    return out, is_bad


def student(n: int, tails: float, rng: np.random.Generator) -> Array:
    """Return draws (n, 2) of Student's t in two dimensions, scale 1; normal for infinite tails."""
    draws = rng.standard_normal((n, 2))
    if np.isfinite(tails):
        draws *= np.sqrt(tails / rng.chisquare(tails, n))[:, None]
    return draws
