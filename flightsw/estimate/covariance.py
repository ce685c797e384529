"""The covariance of a robust fit whose errors repeat.

With psi_i = w_i e_i / h the influence of detection i (w its weight, e its whitened
residual, h the mean curvature of the loss), the error of the estimate is
    dx = A^-1 (sum J_i' psi_i + L d),   A = sum J_i' J_i + L,
L the prior's information. White noise alone would make the covariance
A^-1 (v sum J'J + L) A^-1 with v = mean |psi|^2 / 2: the weights' efficiency is in it
(Huber 1981). But a detector errs alike on one landmark over the frames of a pass, and
pointing errs alike on all landmarks of a frame, so that the middle is
    B = v_white sum J'J + v_landmark sum_c S_c' S_c + v_frame sum_f S_f' S_f
        + sum_p S_p' V_p S_p + L,       S = the sum of J over a cluster,
with variances measured from products of residuals of one cluster. V_p, a bias common to
a pass, cannot be measured: the orbit absorbs it. It is told, and so is what the forces
leave out (see `unmodelled`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.estimate.robust import barron_slope

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Clusters:
    """Who errs together, per detection (N,): its frame, its (pass, landmark), its pass."""

    frame: IntArray
    landmark: IntArray
    one_pass: IntArray


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """Measured variances of a whitened residual per axis: white, per landmark and per frame."""

    white: float
    landmark: float
    frame: float


def _cluster_sum(values: Array, cluster: IntArray) -> Array:
    """Return the sums (C, ...) of values (N, ...) over clusters numbered from 0."""
    out = np.zeros((int(cluster.max()) + 1, *values.shape[1:]))
    np.add.at(out, cluster, values)
    return out


def _pair_variance(psi: Array, cluster: IntArray, apart: IntArray) -> float:
    """Return the mean product per axis of residuals that share `cluster` but not `apart`."""
    pairs_of = np.unique(np.stack([cluster, apart]), axis=1, return_inverse=True)[1].reshape(-1)
    all_sum, same_sum = _cluster_sum(psi, cluster), _cluster_sum(psi, pairs_of)
    ones = np.ones(len(psi))
    product = np.sum(all_sum**2) - np.sum(same_sum**2)
    count = np.sum(_cluster_sum(ones, cluster) ** 2) - np.sum(_cluster_sum(ones, pairs_of) ** 2)
    return float(product / (2.0 * count)) if count > 0 else 0.0


def error_budget(psi: Array, clusters: Clusters, unknowns: int, chain_freedom: float = 0.0) -> ErrorBudget:
    """Return the variance components of psi (N, 2), corrected for what the fit absorbed.

    unknowns : shared ones; chain_freedom : how many of the frames' own were fixed besides.
    """
    n = len(psi)
    total = float(np.mean(np.sum(psi * psi, axis=1))) / 2.0
    total *= 2.0 * n / max(2.0 * n - unknowns - chain_freedom, 0.5 * n)
    independent = 2.0 * (int(clusters.landmark.max()) + 1)
    absorbed = total * min(unknowns / independent, 0.5)
    landmark = _pair_variance(psi, clusters.landmark, clusters.frame) + absorbed / 2.0
    frame = _pair_variance(psi, clusters.frame, clusters.landmark) + absorbed / 4.0
    landmark, frame = min(max(landmark, 0.0), total), min(max(frame, 0.0), total)
    return ErrorBudget(max(total - landmark - frame, 0.1 * total), landmark, frame)


def _middle(jacobian: Array, budget: ErrorBudget, clusters: Clusters, pass_variance: float) -> Array:
    """Return B without the prior, (n, n), from the variance components."""
    n = jacobian.shape[2]
    rows = jacobian.reshape(-1, n)
    middle = budget.white * rows.T @ rows
    for variance, cluster in (
        (budget.landmark, clusters.landmark),
        (budget.frame, clusters.frame),
        (pass_variance, clusters.one_pass),
    ):
        sums = _cluster_sum(jacobian, cluster).reshape(-1, n)
        middle += variance * sums.T @ sums
    return np.asarray(middle)


def robust_covariance(
    jacobian: Array,
    residual: Array,
    weights: Array,
    *,
    shape: float,
    scale: float,
    clusters: Clusters,
    prior_information: Array,
    pass_variance: float,
    unmodelled: Array | float = 0.0,
    chain_freedom: float = 0.0,
) -> Array:
    """Return the covariance (n, n) of the unknowns.

    jacobian (N, 2, n), residual (N, 2) : whitened; weights (N,) in (0, 1]; shape, scale :
    of Barron's kernel; prior_information (n, n); pass_variance : of errors common to a
    pass, in whitened units squared; unmodelled (n, n) : of sum J' d, d what the forces left
    out adds to the residuals; chain_freedom : as `error_budget` has it.
    """
    n = jacobian.shape[2]
    norms = np.hypot(residual[:, 0], residual[:, 1])
    slope = float(np.mean(barron_slope(norms, shape=shape, scale=scale))) * scale**2
    psi = residual * (weights / max(slope, 0.2))[:, None]
    budget = error_budget(psi, clusters, n, chain_freedom)
    rows = jacobian.reshape(-1, n)
    # The estimate weighs data by their measured variance against the prior.
    variance = budget.white + budget.landmark + budget.frame
    a = rows.T @ rows / variance + prior_information
    d = 1.0 / np.sqrt(np.diag(a))
    inverse = d[:, None] * np.linalg.pinv(a * np.outer(d, d), hermitian=True) * d
    middle = _middle(jacobian, budget, clusters, pass_variance) + unmodelled
    middle = middle / variance**2 + prior_information
    covariance = inverse @ middle @ inverse
    return np.asarray(0.5 * (covariance + covariance.T))
