"""Controlled systems for learning and control: batched, differentiable, in torch.

A model has n states, m controls and a step of dt seconds; `step(x, u)` and
`jacobians(x, u)` take (..., n) and (..., m). `below(x)` are its state constraints (<= 0),
`u_min`, `u_max` its limits. `groundtools.layers` takes these by protocol only.
"""
