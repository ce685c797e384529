"""Estimation layers: solvers that a network can be trained through.

One idea: **a layer is a residual F(z, theta) = 0, a way to solve it, and a way to apply
its inverse transposed Jacobian.** `core` has the solvers and the adjoints, `twins` the
torch twins of what flies, `jiio` joint inference and input optimisation (thesis ch. 3),
`bundle` weighted bundle adjustment (ch. 4), `orbit` the flight program's orbit fit, `mpc`
model predictive control inside a network (ch. 8). Needs the extra `[layers]` (torch
alone). Batches lead: states are (B, ...), one problem a row, and every outcome
(status, residual, steps) is said per row.
"""
