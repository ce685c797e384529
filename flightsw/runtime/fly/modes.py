"""The payload's modes and which may follow which."""

from enum import IntEnum


class Mode(IntEnum):
    """What the payload is doing; the numbers are those of HOUSEKEEPING.

    BOOT : store, keys and models are being checked. SAFE : link, store and housekeeping
    alone, until the ground says otherwise. IDLE : waits for the schedule. IMAGING : takes
    frames, and looks at them. COMPUTE : looks at frames that wait and estimates the orbit.
    DOWNLINK : sends files; nothing else runs.
    """

    BOOT = 0
    SAFE = 1
    IDLE = 2
    IMAGING = 3
    COMPUTE = 4
    DOWNLINK = 5


TRANSITIONS: dict[Mode, frozenset[Mode]] = {
    Mode.BOOT: frozenset({Mode.SAFE, Mode.IDLE}),
    Mode.SAFE: frozenset({Mode.IDLE, Mode.DOWNLINK}),
    Mode.IDLE: frozenset({Mode.SAFE, Mode.IMAGING, Mode.COMPUTE, Mode.DOWNLINK}),
    Mode.IMAGING: frozenset({Mode.SAFE, Mode.IDLE, Mode.COMPUTE, Mode.DOWNLINK}),
    Mode.COMPUTE: frozenset({Mode.SAFE, Mode.IDLE, Mode.IMAGING, Mode.DOWNLINK}),
    Mode.DOWNLINK: frozenset({Mode.SAFE, Mode.IDLE}),
}


def may_follow(before: Mode, after: Mode) -> bool:
    """Tell whether a mode may follow another."""
    return after in TRANSITIONS[before]
