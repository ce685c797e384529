"""What a gyro says of pointing errors: how much they changed from one frame to the next.

With theta_f the small rotation from the nadir frame B_f to the body, and C what the body
turned between two frames by its gyro,
    exp(theta_{f+1}) B_{f+1} = C exp(theta_f) B_f,
so that to first order theta_{f+1} = C theta_f + log(C B_f B_{f+1}'). The gyro's bias adds
dt b: its mean over all turns is taken out, what is left is estimated with the chain. Rates
are integrated as vectors, exact to 1e-6 rad while the axis keeps its direction: turns of
up to MOST_TURN.
"""

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.time import Epoch
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.pose_fit import vector_from_rotation
from flightsw.estimate.chain import Turns
from flightsw.estimate.observations import GyroTable
from flightsw.estimate.residuals import rotation_and_left_jacobian
from flightsw.estimate.sightings import Sightings, split_by_gap

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]

MOST_GAP_S = 10.0  # between rows of the gyro; further apart nothing is known of the turn
MOST_STEP_S = 60.0  # between frames
MOST_TURN = 0.2  # rad


def integrated(gyro: GyroTable, epoch: Epoch, t_s: Array) -> tuple[Array, IntArray]:
    """Return the integral (F, 3) of the rates, rad, body axes, at t_s (F,) past `epoch`, and the run (F,).

    Integrals of one run may be compared; -1 where the gyro has no rows around the instant.
    """
    rows = gyro.t_s + (gyro.epoch - epoch)
    if len(rows) < 2:
        return np.zeros((len(t_s), 3)), np.full(len(t_s), -1, dtype=np.intp)
    step = np.diff(rows)
    total = np.zeros((len(rows), 3))
    total[1:] = np.cumsum(0.5 * step[:, None] * (gyro.rate_body[1:] + gyro.rate_body[:-1]), axis=0)
    run_of_row = split_by_gap(rows, MOST_GAP_S)
    after = np.clip(np.searchsorted(rows, t_s), 1, len(rows) - 1)
    inside = (t_s >= rows[0]) & (t_s <= rows[-1]) & (run_of_row[after] == run_of_row[after - 1])
    angle = np.stack([np.interp(t_s, rows, total[:, k]) for k in range(3)], axis=1)
    return angle, np.where(inside, run_of_row[after], -1)


def measured_turns(sightings: Sightings, state: Array, offset: Array) -> Turns | None:
    """Return the turns between frames with states (F, 6), eci; None without a gyro.

    offset (3,) : the constant pointing error, rad, which turns with the body as the rest.
    """
    if sightings.gyro_angle is None or sightings.gyro_run is None:
        return None
    pointing = sightings.pointing
    to_ecef = pointing.ecef_from_eci
    r, v = (np.einsum("fij,fj->fi", to_ecef, part) for part in (state[:, :3], state[:, 3:]))
    nadir = body_from_ecef_nadir(r, v) @ to_ecef
    run, both = sightings.gyro_run, pointing.is_nadir[1:] & pointing.is_nadir[:-1]
    step = np.diff(sightings.t_s)
    known = both & (run[1:] == run[:-1]) & (run[1:] >= 0) & (step <= MOST_STEP_S)
    angle = np.diff(sightings.gyro_angle, axis=0)
    followed = vector_from_rotation(nadir[1:] @ np.swapaxes(nadir[:-1], 1, 2))
    if known.any():  # most of the bias is plain to see: a body that stays with the nadir turns with it
        bias = np.sum((angle + followed)[known], axis=0) / np.sum(step[known])
        angle = angle - step[:, None] * bias
    carry, _ = rotation_and_left_jacobian(-angle)
    turned = vector_from_rotation(carry @ nadir[:-1] @ np.swapaxes(nadir[1:], 1, 2))
    turned -= offset - np.einsum("fij,j->fi", carry, offset)
    known &= np.linalg.norm(angle, axis=1) <= MOST_TURN
    return Turns(np.where(known[:, None], turned, np.nan), carry)
