"""Campaigns: one scenario, many seeds, at the level of measurements, images or hardware.

A trial is a pure function of (scenario, seed): `levels.fly`. `campaign` runs many and
stores each as it ends, `summary` says what they amount to, `report` draws it.
"""
