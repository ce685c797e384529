"""Gauss-Legendre collocation for r'' = f: nodes, weights and the dense polynomial.

On one step of length h from (r0, v0) the acceleration is the polynomial through its
values a_j at the nodes c_j, so with L_j Lagrange's polynomials on the nodes,
    w1_j(th) = int_0^th L_j,   w2_j(th) = int_0^th w1_j,
    v(th) = v0 + h sum w1_j(th) a_j,   r(th) = r0 + th h v0 + h^2 sum w2_j(th) a_j
and a_i = f(r(c_i), v(c_i)). For s nodes this is the implicit Gauss method of order 2 s
for the end of the step (Hairer, Norsett & Wanner, Solving ODEs I, II.7).
The weights are built on Legendre polynomials, which stay well conditioned.
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Collocation:
    """Tables for s nodes on [0, 1].

    c (s,) : nodes; velocity, position (s, s) : w1_j(c_i), w2_j(c_i); end_velocity,
    end_position (s,) : w1_j(1), w2_j(1); ahead (s, s) : the polynomial at 1 + c_i, the
    first guess of the next step; w1 (s + 1, s), w2 (s + 2, s) : Legendre
    coefficients of w1_j, w2_j.
    """

    c: Array
    velocity: Array
    position: Array
    end_velocity: Array
    end_position: Array
    ahead: Array
    w1: Array
    w2: Array

    def weights(self, theta: Array) -> tuple[Array, Array]:
        """Return w1_j and w2_j at fractions of the step theta (N,), each (N, s)."""
        x = 2.0 * theta - 1.0
        return _legval(x, self.w1), _legval(x, self.w2)


def gauss_legendre(s: int) -> Collocation:
    """Return the tables of the method with s nodes."""
    x, weight = (np.asarray(part, dtype=np.float64) for part in legendre.leggauss(s))
    k = np.arange(s)
    # L_j = sum_k (2k + 1)/2 weight_j P_k(x_j) P_k, exact since Gauss quadrature is.
    lagrange = (k[:, None] + 0.5) * legendre.legvander(x, s - 1).T * weight
    w1 = np.asarray(legendre.legint(lagrange, lbnd=-1.0), dtype=np.float64) * 0.5
    w2 = np.asarray(legendre.legint(w1, lbnd=-1.0), dtype=np.float64) * 0.5

    one = np.ones(1)
    return Collocation(
        c=0.5 * (x + 1.0),
        velocity=_legval(x, w1),
        position=_legval(x, w2),
        end_velocity=_legval(one, w1)[0],
        end_position=_legval(one, w2)[0],
        ahead=_legval(x + 2.0, lagrange),
        w1=w1,
        w2=w2,
    )


def _legval(x: Array, coefficients: Array) -> Array:
    """Return the Legendre series in the columns of `coefficients` at x (N,), one row a point."""
    return np.ascontiguousarray(legendre.legval(x, coefficients).T, dtype=np.float64)
