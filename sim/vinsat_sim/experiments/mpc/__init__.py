"""Chapter 8 measured again: imitation of an expert by DEQ-MPC and Diff-MPC.

`tasks` are the six problems with their expert, `training` one trained policy with all its
figures (a run, stored), `entries` the reproductions made of runs, `satellite` the slews.
"""
