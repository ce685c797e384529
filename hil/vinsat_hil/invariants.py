"""What must hold in every trial, whatever the faults: predicates on evidence, no look at logs.

Each is a function of the evidence that returns "" where it holds, else what was seen. The
names are what `vinsat hil run` prints.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from flightsw.runtime.link.commands import Outcome
from flightsw.runtime.link.packets import COUNTS
from vinsat_hil import medium
from vinsat_hil.evidence import Evidence
from vinsat_hil.ground import PARAMETERS, Heard, value_of
from vinsat_hil.judgement import judge_orbits

WRONG_M, WRONG_SIGMAS = 5000.0, 5.0
STEP_S = 0.3  # of the clock, that no arc may hold
OWN = ("payload.toml", "camera.toml", "keys", "observations.csv")
OWN_FOLDERS = ("taken", "store", "frames", "products", "models")


@dataclass(frozen=True, slots=True)
class Invariant:
    """A name, its sentence, and the function that says what is wrong ("" where it holds)."""

    name: str
    sentence: str
    problem: Callable[[Evidence], str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """An invariant, judged. problem : "" where it held."""

    name: str
    held: bool
    problem: str = ""


def judge(evidence: Evidence) -> tuple[Verdict, ...]:
    """Return the verdict on every invariant."""
    verdicts = []
    for invariant in INVARIANTS:
        problem = invariant.problem(evidence)
        verdicts.append(Verdict(invariant.name, not problem, problem))
    return tuple(verdicts)


def _exceptions(e: Evidence) -> str:
    if e.crashes:
        return e.crashes[0].strip().splitlines()[-1]
    return next((f"ended by itself with {d.code} at {d.t_s:g} s" for d in e.deaths if not d.was_meant), "")


def _back(e: Evidence) -> str:
    if e.silent:
        return f"no answer at {e.silent[0]:g} s"
    worst = max(e.starts_s, default=float("inf"))
    if worst > e.rig.restart_s:
        return f"the slowest start answered after {worst:.1f} s of processor time"
    if e.end_code != 0:
        return f"asked to end, it ended with {e.end_code}"
    open_ = [asked.counter for asked in e.asked if not asked.replied]
    return f"commands {open_} have no answer at the end" if open_ else ""


def _committed(e: Evidence) -> str:
    lost = [number for number in e.lost if number not in e.damaged]
    if lost:
        return f"records {lost[:5]} were committed and are gone"
    if e.has("medium"):
        return ""  # numbers of records that were in memory alone when power went may be missing
    numbers = [*e.records]
    missing = {*range(numbers[0], numbers[-1] + 1)} - {*numbers} - e.damaged if numbers else {0}
    return f"the log has no record {min(missing)}" if missing else ""


def _torn(e: Evidence) -> str:
    """The payload counts what is there; an estimate uses rows that were recorded, all of a time's."""
    for told in e.told:
        if told.frames != told.in_log:
            return f"it counts {told.frames} frames at {told.t_s:g} s, the log has {told.in_log}"
    rows: dict[int, list[int]] = defaultdict(lambda: [0])
    for entry in e.records.values():
        if entry.kind not in (medium.OBSERVATIONS, medium.SOLUTION):
            continue
        content = entry.content()
        if entry.kind == medium.OBSERVATIONS:
            rows[content["arc"]].append(len(content["rows"]))
        elif not e.damaged and not e.has("medium"):
            used = content["used"] + content["rejected"]
            if used not in accumulate(rows[content["arc"]]):
                return f"an estimate used {used} observations, which is no number of recorded ones"
    return ""


def _sequence(e: Evidence) -> str:
    last: dict[tuple[int, str], int] = {}
    is_first_heard = not e.rig.remote.link.startswith("tcp:")  # what is sent before the ground connects
    for packet in e.heard:
        key = (packet.start, packet.name)
        expected = (last[key] + 1) % COUNTS if key in last else 0
        if packet.count != expected and (is_first_heard or key in last):
            return f"{packet.name} {packet.count} instead of {expected} after start {packet.start}"
        last[key] = packet.count
    return "" if last else "no telemetry at all"


def _memory(e: Evidence) -> str:
    t_s, most = max(e.memory_mb, key=lambda pair: pair[1], default=(0.0, 0.0))
    return f"{most:.0f} MB at {t_s:g} s" if most > e.rig.memory_mb + e.rig.extra_mb else ""


def _once(e: Evidence) -> str:
    carried_out: dict[int, int] = defaultdict(int)
    for packet in _replies(e):
        carried_out[packet.values["counter"]] += not packet.values["is_repeat"]
    for entry in e.records.values():
        if entry.kind == medium.COMMAND:
            carried_out[-entry.content()["counter"]] += 1
    for asked in e.asked:
        if e.medium_failed_at(asked.sent_s):
            continue  # may run twice, as documented: nothing can be kept
        for number in (asked.counter, -asked.counter):
            if carried_out[number] > 1:
                return f"command {asked.counter} ({asked.name}) was carried out {carried_out[number]} times"
    return ""


def _outcome(e: Evidence) -> str:
    """A repeat tells what the first reply told; "unknown" is said only of what was cut off."""
    first: dict[int, Any] = {}
    for packet in _replies(e):
        counter, outcome = packet.values["counter"], packet.values["outcome"]
        if first.setdefault(counter, outcome) != outcome:
            return f"command {counter} ended with {first[counter]}, and later with {outcome}"
        asked = next((a for a in e.asked if a.counter == counter), None)
        cut = asked is not None and any(d.t_s >= asked.sent_s for d in e.deaths)
        if outcome == Outcome.UNKNOWN and not cut:
            return f"command {counter} has an unknown outcome, and nothing was cut off"
    return ""


def _kept(e: Evidence) -> str:
    """What SET_PARAMETER did stays done."""
    may: dict[int, set[float]] = {}
    for asked in e.asked:
        if asked.name not in ("SET_PARAMETER", "GET_PARAMETER"):
            continue
        number, unsure = int(asked.arguments["parameter"]), e.medium_failed_at(asked.sent_s)
        if asked.name == "SET_PARAMETER" and asked.replied:
            value = float(asked.arguments["value"])
            certain = asked.outcome is Outcome.DONE and not unsure
            may[number] = {value} if certain else may.get(number, set()) | {value, float("nan")}
        elif number in may and asked.outcome is Outcome.DONE:
            data = next(p.values["data"] for p in _replies(e) if p.values["counter"] == asked.counter)
            if not any(value != value or value == value_of(data) for value in may[number]):
                return f"parameter {number} was set to {sorted(may[number])}, and is {value_of(data)}"
    return ""


def _authentic(e: Evidence) -> str:
    forged = set(e.forged)
    replied = {packet.values["counter"] for packet in _replies(e)} & forged
    run = {x.content()["counter"] for x in e.records.values() if x.kind == medium.COMMAND} & forged
    return f"forged commands {sorted(replied | run)} were taken" if replied | run else ""


def _frames_once(e: Evidence) -> str:
    if e.has("medium"):
        return ""  # what was found may have been in memory alone when the program ended
    seen: set[str] = set()
    for entry in e.records.values():
        if entry.kind == medium.OBSERVATIONS:
            name = entry.content()["frame"]
            if name in seen and not e.damaged:
                return f"frame {name} counts twice"
            seen.add(name)
    return ""


def _arcs(e: Evidence) -> str:
    """Frames whose times do not belong together are not of one arc."""
    offset_s = {shot.tai_ns: e.feed.clock.offset_s(shot.t_s) for shot in e.feed.shots}
    of_arc: dict[int, float] = {}
    for entry in e.records.values():
        if entry.kind == medium.OBSERVATIONS:
            content = entry.content()
            now = offset_s[content["tai_ns"]]
            if abs(of_arc.setdefault(content["arc"], now) - now) > STEP_S:
                return f"arc {content['arc']} holds frames of before and after a step of the clock"
    return ""


def _own(e: Evidence) -> str:
    for path in e.opened:
        first, _, rest = path.partition("/")
        inner = rest.partition("/")[0]
        mine = first == "payload" and (rest in OWN or inner in OWN_FOLDERS or not rest)
        if not mine and first not in ("board", "stderr"):
            return f"it opened {path}"
    return ""


def _right(e: Evidence) -> str:
    for orbit in judge_orbits(e):
        if orbit.error_m > WRONG_M or orbit.error_m > WRONG_SIGMAS * orbit.sigma_m:
            return f"determined, {orbit.error_m:.0f} m off, {orbit.sigma_m:.0f} m claimed"
    return ""


def _no_false_fix(e: Evidence) -> str:
    may = {shot.tai_ns for shot in e.feed.shots if shot.may_fix}
    for entry in e.records.values():
        if entry.kind == medium.OBSERVATIONS:
            content = entry.content()
            if content["rows"] and content["tai_ns"] not in may:
                return f"{content['frame']} shows no landmark and is called a fix"
    return ""


def _recovers(e: Evidence) -> str:
    """After the last fault the last pass is flown: it must be seen, and be estimated."""
    if e.scenario.inference != "observations":
        return ""
    last = e.scenario.passes_s[-1]
    good = [shot for shot in e.feed.shots if shot.t_s >= last and shot.rows]
    want = {shot.tai_ns for shot in good}
    seen = {
        entry.content()["tai_ns"]
        for entry in e.records.values()
        if entry.kind == medium.OBSERVATIONS and entry.content()["rows"]
    }
    if want - seen:
        return f"{len(want - seen)} of {len(want)} frames of the last pass, after all faults, are not seen"
    solved = [entry for entry in e.records.values() if entry.kind == medium.SOLUTION]
    newest = max((x.sequence for x in e.records.values() if x.kind == medium.OBSERVATIONS), default=0)
    return (
        "" if solved and solved[-1].sequence > newest else "the last pass, after all faults, is not estimated"
    )


def _replies(e: Evidence) -> list[Heard]:
    return [packet for packet in e.heard if packet.name == "REPLY"]


_SET = ", ".join(PARAMETERS)
INVARIANTS = (
    Invariant("no_unhandled_exception", "no process of the payload ends by itself", _exceptions),
    Invariant("back_in_time", "every start answers within restart_s, every command in the end", _back),
    Invariant("no_committed_record_lost", "what was committed stays, as it was", _committed),
    Invariant("no_torn_record_accepted", "what is counted and used is what the log holds", _torn),
    Invariant("telemetry_in_sequence", "counts without gaps or repeats within a start", _sequence),
    Invariant("memory_within_budget", "all processes together stay under memory_mb", _memory),
    Invariant("commands_run_once", "each command is carried out at most once", _once),
    Invariant("outcomes_are_true", "a repeat tells the outcome; a cut one is unknown", _outcome),
    Invariant("settings_are_kept", f"what was set stays set ({_SET})", _kept),
    Invariant("commands_are_authentic", "what is signed with another key is not taken", _authentic),
    Invariant("frames_count_once", "no frame's observations are recorded twice", _frames_once),
    Invariant("arcs_hold_one_time", "no arc holds frames of before and after a clock step", _arcs),
    Invariant("truth_stays_out", "the program opens its own files and no others", _own),
    Invariant("never_determined_and_wrong", "a determined orbit is within 5 km and 5 sigma", _right),
    Invariant("no_false_fix", "a frame that shows no landmark gives none", _no_false_fix),
    Invariant("recovers", "the pass after the last fault is seen and estimated", _recovers),
)
