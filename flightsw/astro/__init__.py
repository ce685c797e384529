"""Time, frames, forces and propagation: what the sky does, without any measurement.

time        `Epoch`: exact instants with leap seconds; UTC, TAI, TT, UT1
eop         UT1-UTC and the pole from a small replaceable table
rotation    `ecef_from_eci`: GCRF to ITRF, IAU 2006/2000B
geodesy     WGS 84: latitude, longitude, height, rays against the ellipsoid
sun         directions and positions of Sun and Moon, low precision
elements    Keplerian elements and back
gravity     EGM2008 to degree 20, and J2, with gradients
drag        Harris-Priester density and drag with one scale factor, with partials
forces      their sum at many points at once
collocation tables of the Gauss-Legendre method
arc         all steps of an arc solved at once by Newton's method
propagate   `propagate`, `propagate_batch`, `step`: states and state-transition matrices

Inside an arc times are floats, seconds past the arc's `Epoch`. Positions and velocities
are inertial (GCRF axes, m and m/s) unless the name says `_ecef`.
"""
