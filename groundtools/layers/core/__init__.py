"""What every layer shares: solve, implicit gradients, least squares, augmented Lagrangian.

solve(f, z0)                    the fixed point z = f(z), row by row
implicit(f, z, adjoint=...)     gradients put back on it (thesis eq. 2.6)
implicit_root(F, z, matrix)     the same for a residual F(z) = 0 with its Jacobian
least_squares(problem, x0)      Levenberg-Marquardt on dense, Schur or chain structure
check_gradient(layer, *inputs)  against finite differences
"""

from groundtools.layers.core.augmented import Constrained, augmented_lagrangian
from groundtools.layers.core.check import GradientReport, check_gradient
from groundtools.layers.core.implicit import (
    Factor,
    Iterate,
    LastSteps,
    Neumann,
    implicit,
    implicit_minimum,
    implicit_root,
)
from groundtools.layers.core.least_squares import Dense, FitSolution, least_squares
from groundtools.layers.core.solve import Solution, Status, solve
from groundtools.layers.core.solvers import Anderson, Broyden, Picard
from groundtools.layers.core.structure import ChainSystem, DenseSystem, SchurSystem

__all__ = [
    "Anderson",
    "Broyden",
    "ChainSystem",
    "Constrained",
    "Dense",
    "DenseSystem",
    "Factor",
    "FitSolution",
    "GradientReport",
    "Iterate",
    "LastSteps",
    "Neumann",
    "Picard",
    "SchurSystem",
    "Solution",
    "Status",
    "augmented_lagrangian",
    "check_gradient",
    "implicit",
    "implicit_minimum",
    "implicit_root",
    "least_squares",
    "solve",
]
