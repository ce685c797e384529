"""Robust weights for least squares: Barron's adaptive kernel.

With gap = 2 - alpha, x = e / c:
    rho(e)  = gap / alpha * ((x^2 / gap + 1)^(alpha / 2) - 1)     the loss
    w(e)    = rho'(e) / e = (x^2 / gap + 1)^(-gap / 2) / c^2       the IRLS weight
with the limits alpha = 2: x^2 / 2 and alpha = 0: log(x^2 / 2 + 1). Residuals and the
scale c share one unit; weights carry 1/unit^2. Source: Barron, CVPR 2019, eqs. 1 and 8.
Thesis eq. 7.3 prints R = 1/w, so its norm reads e' R^-1 e; its formula divides by zero
at alpha = 2, the shape of its first iteration, and c = "the median of the residuals"
must be that of their absolute values, kept away from zero.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FINAL_SHAPE = -1.0  # thesis section 7.3.4; between Cauchy (0) and Geman-McClure (-2)
ANNEALING_RATE = 2.0 / 5.0  # shape lost per iteration, thesis section 7.3.4
ANNEALING_ITERATIONS = 8  # iterations until the shape has reached FINAL_SHAPE
MEDIAN_OF_UNIT_NORM = 1.177_410_02  # median length of a 2-D unit normal, sqrt(2 ln 2)


def _check(shape: float, scale: float) -> None:
    if not scale > 0.0:
        raise ValueError(f"scale must be positive, got {scale}")
    if not shape <= 2.0:
        raise ValueError(f"shape must be at most 2, got {shape}")


def barron_loss(residual: Array, *, shape: float, scale: float) -> Array:
    """Return rho(e) of each residual (N,), in the unit of nothing.

    shape : alpha <= 2 (2 is least squares, lower is more robust); scale : c > 0.
    Below alpha = 0 it saturates at -gap / alpha. Raises ValueError outside those ranges.
    """
    _check(shape, scale)
    squared = np.square(residual / scale)
    if shape == 2.0:
        return np.asarray(0.5 * squared)
    gap = 2.0 - shape
    if shape == 0.0:
        return np.asarray(np.log1p(squared / gap))
    return np.asarray(gap / shape * ((squared / gap + 1.0) ** (0.5 * shape) - 1.0))


def barron_weight(residual: Array, *, shape: float, scale: float) -> Array:
    """Return the IRLS weight of each residual, rho'(e) / e.

    residual : (N,) in the unit of `scale`; shape : alpha <= 2 (2 is least squares,
    lower is more robust); scale : c > 0. Raises ValueError outside those ranges.
    """
    _check(shape, scale)
    if shape == 2.0:  # the limit of the formula below, which divides by the gap
        return np.full(np.shape(residual), scale**-2)
    gap = 2.0 - shape
    return np.asarray((np.square(residual / scale) / gap + 1.0) ** (-0.5 * gap) / scale**2)


def barron_slope(residual: Array, *, shape: float, scale: float) -> Array:
    """Return the mean curvature of the loss over the two axes of a 2-D residual.

    residual : (N,) lengths. The gradient of rho(|e|) is w e, its Hessian has the
    eigenvalues w (across e) and w + |e| w' (along e); this is their mean, which can be
    negative far out. Used for the efficiency of the weights in a covariance.
    """
    weight = barron_weight(residual, shape=shape, scale=scale)
    if shape == 2.0:
        return weight
    squared = np.square(residual / scale)
    gap = 2.0 - shape
    return np.asarray(weight * (1.0 - 0.5 * squared / (squared / gap + 1.0)))


def annealed_shape(iteration: int) -> float:
    """Return alpha of an iteration, counted from 0: least squares first, then ever more robust."""
    return max(2.0 - ANNEALING_RATE * iteration, FINAL_SHAPE)


def absolute_scale(residual: Array, *, floor: float) -> float:
    """Return the median of the absolute residuals (NaN left out), at least `floor`."""
    sizes = np.abs(residual)
    sizes = sizes[np.isfinite(sizes)]
    return max(float(np.median(sizes)), floor) if sizes.size else floor


def sigma_from_norms(norms: Array, *, floor: float) -> float:
    """Return the per-axis sigma of 2-D residuals from their lengths (N,), by the median."""
    return max(absolute_scale(norms, floor=0.0) / MEDIAN_OF_UNIT_NORM, floor)
