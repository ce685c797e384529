"""The smallest composition that still violates an invariant.

Compositions are short (four faults at most), so all subsets are tried, small ones first:
what is found is smallest, not merely small. A subset counts where one of the invariants
that were violated at first is violated again.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

from vinsat_hil.faults import Fault
from vinsat_hil.trial import Outcome

Fly = Callable[[tuple[Fault, ...]], Outcome]


def shrink(
    faults: Sequence[Fault], violated: Sequence[str], fly: Fly
) -> tuple[tuple[Fault, ...], Outcome | None]:
    """Return the smallest subset that violates one of these invariants, and its outcome.

    Without a smaller one it is the whole, and None, for that was flown already.
    """
    for size in range(len(faults)):
        for subset in combinations(faults, size):
            outcome = fly(subset)
            if {verdict.name for verdict in outcome.violated} & set(violated):
                return subset, outcome
    return tuple(faults), None
