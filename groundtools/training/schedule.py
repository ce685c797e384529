"""Learning rates as pure functions of the step, so that a resumed run has the same ones."""

import math


def one_cycle(step: int, steps: int, peak: float, *, warm: float = 0.05, floor: float = 0.01) -> float:
    """Return the rate: a linear rise over the first `warm` part, then a cosine to floor * peak."""
    rise = max(1.0, warm * steps)
    if step < rise:
        return peak * (step + 1.0) / rise
    progress = min(1.0, (step - rise) / max(1.0, steps - rise))
    return peak * (floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress)))
