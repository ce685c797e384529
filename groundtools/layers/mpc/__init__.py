"""Model predictive control by an augmented Lagrangian, alone and inside a network (ch. 8).

`solver` has `TrackingMPC` in torch, differentiable; `arrays` the same in numpy, without
torch, light enough for a payload; `policy` the two ways to join a network to it, `DEQMPC`
and `DiffMPC`, of one signature; `networks` what they join.
"""
