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
a pass, shows in no residual: the orbit absorbs it. It is told, and raised where the passes
disagree about the orbit by more than their covariances allow. What the forces leave out is
told as well (see `unmodelled`).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flightsw.estimate.robust import barron_slope

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]

LEAST_SEEN = 1e-6  # of what a pass sees best: below, rounding
LEAST_SHARED = 0.01  # of a pass's own variance: below, the others know too little to disagree
MOST_EXCESS = 10.0
MOST_BIAS = 0.25  # of a pass, of a detection's variance: half its noise
BISECTIONS = 8


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


@dataclass(frozen=True, slots=True)
class Sandwich:
    """A fit seen as influences: all that its covariance is made of.

    jacobian (N, 2, n) whitened; psi (N, 2) influences; budget, clusters : of their errors;
    prior_information (n, n); pass_variance : of errors common to a pass, in whitened units
    squared; unmodelled (n, n) : of sum J' d, d what the forces left out adds.
    """

    jacobian: Array
    psi: Array
    budget: ErrorBudget
    clusters: Clusters
    prior_information: Array
    pass_variance: float
    unmodelled: Array | float

    @property
    def variance(self) -> float:
        """Return the variance of a detection: the estimate weighs data by it against the prior."""
        return self.budget.white + self.budget.landmark + self.budget.frame

    def information(self) -> Array:
        """Return the data's part of A (n, n)."""
        rows = self.jacobian.reshape(-1, self.jacobian.shape[2])
        return np.asarray(rows.T @ rows / self.variance)

    def middle(self) -> Array:
        """Return B (n, n) without the prior and the forces."""
        return _middle(self.jacobian, self.budget, self.clusters, self.pass_variance) / self.variance**2

    def covariance(self) -> Array:
        """Return the covariance (n, n) of the unknowns."""
        inverse = _inverse(self.information() + self.prior_information)
        outside = self.prior_information + self.unmodelled / self.variance**2
        covariance = inverse @ (self.middle() + outside) @ inverse
        return np.asarray(0.5 * (covariance + covariance.T))

    def innovations(self) -> tuple["Innovation", ...]:
        """Return for every pass, in order, how far it is from the orbit of all the others.

        With s the pull of a pass at the solution, A_p its information and K = A_p A^-1,
        s = (I - K) s_p - K (s of the others and of the prior): its covariance follows from
        B of either part. s' cov(s)^+ s is the normalised innovation squared.
        """
        inverse = _inverse(self.information() + self.prior_information)
        outside = self.prior_information + self.unmodelled / self.variance**2
        passes = range(int(self.clusters.one_pass.max()) + 1)
        parts = [self._only(self.clusters.one_pass == one) for one in passes]
        middles = [part.middle() for part in parts]
        out = []
        for part, own in zip(parts, middles, strict=True):
            gain = part.information() @ inverse
            stays = np.eye(len(gain)) - gain
            spread = stays @ own @ stays.T + gain @ (sum(middles) - own + outside) @ gain.T
            pull = np.einsum("nai,na->i", part.jacobian, part.psi) / self.variance
            out.append(Innovation.of(pull, spread, own))
        return tuple(out)

    def as_the_passes_disagree(self) -> "Sandwich":
        """Return the same with the bias per pass that the innovations show, if it is larger.

        The passes' innovations together should be about their degrees of freedom. Where
        they are more than chance explains, the bias is raised until it does.
        """
        if int(self.clusters.one_pass.max()) < 1 or not _is_more_than_chance(self.innovations()):
            return self
        low, high = self.pass_variance, MOST_BIAS * self.variance
        for _ in range(BISECTIONS):
            middle = float(np.sqrt(max(low, 1e-4 * high) * high))
            more = _is_more_than_chance(replace(self, pass_variance=middle).innovations())
            low, high = (middle, high) if more else (low, middle)
        return replace(self, pass_variance=high)

    def _only(self, rows: NDArray[np.bool_]) -> "Sandwich":
        labels = (self.clusters.frame, self.clusters.landmark, self.clusters.one_pass)
        own = (np.unique(label[rows], return_inverse=True)[1].reshape(-1) for label in labels)
        return replace(self, jacobian=self.jacobian[rows], psi=self.psi[rows], clusters=Clusters(*own))


def _is_more_than_chance(innovations: tuple["Innovation", ...]) -> bool:
    """Tell whether the passes disagree by more than one sigma; two of them say the same thing twice."""
    freedom = sum(one.freedom for one in innovations)
    independent = max(freedom * (1.0 - 1.0 / len(innovations)), 1.0)
    squared = sum(one.squared for one in innovations)
    return squared > freedom * (1.0 + float(np.sqrt(2.0 / independent)))


@dataclass(frozen=True, slots=True)
class Innovation:
    """A normalised innovation squared and its degrees of freedom."""

    squared: float
    freedom: int

    @property
    def excess(self) -> float:
        """Return by how many of its own sigma it is larger than it should be."""
        return (self.squared - self.freedom) / float(np.sqrt(2.0 * max(self.freedom, 1)))

    @property
    def contradicts(self) -> bool:
        """Tell whether the pass cannot be of the orbit of the others: chance gives 1 in 10^5 or fewer."""
        return self.excess > MOST_EXCESS

    @classmethod
    def of(cls, pull: Array, spread: Array, own: Array) -> "Innovation":
        """Return pull' spread^+ pull over the directions (of n) that pass and others both see.

        pull (n,) of covariance spread (n, n); own (n, n) : what it would be if the others
        knew everything. Where they know next to nothing the pull is zero by the fit.
        """
        d = 1.0 / np.sqrt(np.maximum(np.diag(own), 1e-300))
        value, vector = np.linalg.eigh(own * np.outer(d, d))
        seen = value > LEAST_SEEN * value[-1]
        whiten = d[:, None] * vector[:, seen] / np.sqrt(value[seen])
        value, vector = np.linalg.eigh(whiten.T @ spread @ whiten)
        shared = value > LEAST_SHARED
        along = vector[:, shared].T @ (whiten.T @ pull)
        return cls(float(np.sum(along**2 / value[shared])), int(shared.sum()))


def _inverse(matrix: Array) -> Array:
    d = 1.0 / np.sqrt(np.diag(matrix))
    return np.asarray(d[:, None] * np.linalg.pinv(matrix * np.outer(d, d), hermitian=True) * d)


def sandwich(
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
) -> Sandwich:
    """Return the sandwich of a fit.

    jacobian (N, 2, n), residual (N, 2) : whitened; weights (N,) in (0, 1]; shape, scale :
    of Barron's kernel; chain_freedom : as `error_budget` has it; the rest as in the class.
    """
    norms = np.hypot(residual[:, 0], residual[:, 1])
    slope = float(np.mean(barron_slope(norms, shape=shape, scale=scale))) * scale**2
    psi = residual * (weights / max(slope, 0.2))[:, None]
    budget = error_budget(psi, clusters, jacobian.shape[2], chain_freedom)
    return Sandwich(jacobian, psi, budget, clusters, prior_information, pass_variance, unmodelled)
