"""LD: where are the landmarks of one region in this frame?

The network gives a heat map a landmark at stride 4 and one offset field. A landmark is
at most once in a frame, so the arg-max of its map is the only candidate: no boxes, no
suppression. Every class gives a candidate, most of them of landmarks that are not in
view; the peak tells, and the pose gate decides.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.vision.preprocess import LD_SHAPE, MODEL_CAMERA, ModelFrame, ld_input
from flightsw.vision.regions import sigmoid
from flightsw.vision.session import Session

Array = NDArray[np.float64]
Floats = NDArray[np.float32]

STRIDE = 4
HEAT_SHAPE = (LD_SHAPE[0] // STRIDE, LD_SHAPE[1] // STRIDE)  # 164 x 288 cells
NEVER = np.float32(-60.0)  # a logit
OFFSET_LIMIT = 2.0  # cells: what an offset beyond it means was never taught


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a detector claims to see: label (N,) class index, uv_px (N, 2) of the model
    frame, score (N,) the peak, 0..1.
    """

    label: NDArray[np.int64]
    uv_px: Array
    score: Array

    def __len__(self) -> int:
        return len(self.label)


def detect(session: Session, frame: ModelFrame, *, threshold: float) -> Candidates:
    """Return the candidates with a peak of at least `threshold`."""
    heat, offset = session.run(ld_input(frame))
    return decode(heat[0], offset[0], frame, threshold=threshold)


def decode(heat: Floats, offset: Floats, frame: ModelFrame, *, threshold: float) -> Candidates:
    """Return the candidates of one frame's outputs.

    heat (K, 164, 288) : logits; offset (2, 164, 288) : from the cell's centre to the
    landmark, cells (u, v). Cells of the padding below the frame, and those where the
    user's camera does not reach, have no candidate: they are overwritten in `heat`.
    """
    centre, rows = STRIDE // 2, MODEL_CAMERA.height_px // STRIDE
    heat[:, rows:] = NEVER  # in place: a copy of the maps is 19 MB
    if not frame.valid.all():
        heat[:, :rows][:, ~frame.valid[centre::STRIDE, centre::STRIDE]] = NEVER
    flat = heat.reshape(len(heat), -1)
    best = flat.argmax(axis=1)
    score = sigmoid(flat[np.arange(len(flat)), best])
    keep = np.flatnonzero(score >= threshold)
    row, column = np.divmod(best[keep], HEAT_SHAPE[1])
    shift = np.clip(offset[:, row, column], -OFFSET_LIMIT, OFFSET_LIMIT).T.astype(np.float64)
    uv_px = (np.stack([column, row], axis=1) + 0.5 + shift) * STRIDE
    return Candidates(keep.astype(np.int64), uv_px, score[keep])
