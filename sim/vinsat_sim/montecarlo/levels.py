"""The levels a campaign can be flown at, found by entry point.

Each entry of the group `vinsat.levels` names a function of (scenario, seed) that returns
an `Outcome`, a pure function of both: the same arguments, the same outcome. It runs in
worker processes and may hold what it needs (models, a scene) from one call to the next.
Whoever brings a rig registers it here, and `level = "hardware"` flies it.
"""

from collections.abc import Callable

from flightsw.errors import UsageError
from groundtools.registry import registered
from vinsat_sim.montecarlo.outcome import Outcome
from vinsat_sim.scenario import Scenario

GROUP = "vinsat.levels"
Level = Callable[[Scenario, int], Outcome]


def find_level(name: str) -> Level:
    """Return the level's function. Raises UsageError naming those there are."""
    entries = registered(GROUP)
    if name not in entries:
        raise UsageError(f"--level {name}: is not installed; there are: {', '.join(entries)}")
    level: Level = entries[name].load()
    return level
