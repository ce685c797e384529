"""RC: which regions might this frame show?"""

import numpy as np
from numpy.typing import NDArray

from flightsw.vision.preprocess import ModelFrame, rc_input
from flightsw.vision.session import Session

Array = NDArray[np.float64]


def classify(session: Session, frame: ModelFrame) -> Array:
    """Return the probability (0..1) of each class of the manifest, "elsewhere" last.

    Classes are judged one by one (a frame may show two regions): they do not sum to 1.
    """
    (logits,) = session.run(rc_input(frame))
    return sigmoid(logits[0])


def sigmoid(logits: NDArray[np.float32]) -> Array:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return 1.0 / (1.0 + np.exp(-np.clip(logits.astype(np.float64), -60.0, 60.0)))


def likely_regions(probability: Array, classes: tuple[str, ...], *, threshold: float, most: int) -> list[str]:
    """Return the regions to try, likeliest first; "elsewhere" (the last class) is none."""
    order = np.argsort(-probability[:-1], kind="stable")[:most]
    return [classes[k] for k in order if probability[k] >= threshold]
