"""Torch twins of what flies: the same numbers, with autograd.

Every function bears the name of its original in flightsw and equals it to 1e-12
(relative); its derivative by `torch.func.jacrev` equals the flight code's analytic
Jacobian, which it thereby verifies. Constants are imported from flightsw, never copied.
"""
