"""Satellites simulated at the level of measurements: no images, landmarks in pixels at once.

`conditions` says what is drawn, `satellite` flies one and finds what its camera sees,
`detector` spoils that as a detector would, `trial` estimates and scores, `bound` gives
the Cramer-Rao bound of the same sightings.
"""
