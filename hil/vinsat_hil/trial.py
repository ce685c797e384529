"""One trial: scenario, rig, faults and seed in; digest, verdicts and figures out."""

import contextlib
import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vinsat_hil.agent import RemoteTarget
from vinsat_hil.clock_host import ClockHost
from vinsat_hil.composition import line_of
from vinsat_hil.conductor import Conductor, digest_of
from vinsat_hil.evidence import Evidence
from vinsat_hil.faults import Fault
from vinsat_hil.feed import make_feed
from vinsat_hil.ground import Ground
from vinsat_hil.in_process import InProcessTarget
from vinsat_hil.invariants import Verdict, judge
from vinsat_hil.judgement import judge_orbits
from vinsat_hil.layout import lay_out, make_keys
from vinsat_hil.rig import Rig
from vinsat_hil.scenario import Scenario, Truth, flown
from vinsat_hil.target import LocalTarget, Target
from vinsat_hil.wire import PtyWire, StreamWire, Wire

GREY = np.full((16, 16, 3), 90, dtype=np.uint8)
SHM = Path("/dev/shm")  # a medium that does not wear: the board plays the one that fails


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a trial came to.

    digest : of the whole chain; chain : of each instant; error_m, sigma_m : of the last
    determined orbit, 3-D, None where there is none; determined : how many were called so.
    """

    scenario: str
    rig: str
    seed: int
    faults: str
    digest: str
    chain: tuple[str, ...]
    invariants: tuple[Verdict, ...]
    replay: str
    deaths: int
    starts: int
    frames_seen: int
    determined: int
    error_m: float | None
    sigma_m: float | None
    memory_mb: float
    cpu_s: float
    wall_s: float

    @property
    def violated(self) -> tuple[Verdict, ...]:
        """Return the invariants that did not hold."""
        return tuple(verdict for verdict in self.invariants if not verdict.held)

    def as_json(self) -> dict[str, Any]:
        """Return all but the chain."""
        value = asdict(self)
        del value["chain"]
        return value


def replay_line(scenario: str, rig: str, faults: tuple[Fault, ...], seed: int, mutant: str = "") -> str:
    """Return the command that does it again."""
    line = f'vinsat hil run --rig {rig} --scenario {scenario} --faults "{line_of(faults)}" --seed {seed}'
    return line + (f" --mutant {mutant}" if mutant else "")


def run_trial(
    scenario: Scenario, rig: Rig, faults: tuple[Fault, ...], seed: int, *, mutant: str = "", keep: str = ""
) -> Outcome:
    """Fly and judge. mutant : a seeded defect (`vinsat_hil.mutants`); keep : folder to leave all in."""
    began, cpu = time.monotonic(), _cpu_s()
    with _folder(keep) as folder:
        evidence = _fly(scenario, rig, faults, seed, mutant=mutant, folder=folder)
        orbits = judge_orbits(evidence)
    last = orbits[-1] if orbits else None
    return Outcome(
        scenario=scenario.name,
        rig=rig.name,
        seed=seed,
        faults=line_of(faults),
        digest=digest_of(evidence.chain),
        chain=tuple(evidence.chain),
        invariants=judge(evidence),
        replay=replay_line(scenario.name, rig.name, faults, seed, mutant),
        deaths=len(evidence.deaths),
        starts=len(evidence.starts_s),
        frames_seen=evidence.told[-1].in_log if evidence.told else 0,
        determined=len(orbits),
        error_m=None if last is None else round(last.error_m, 1),
        sigma_m=None if last is None else round(last.sigma_m, 1),
        memory_mb=round(max((mb for _, mb in evidence.memory_mb), default=0.0), 1),
        cpu_s=round(_cpu_s() - cpu, 2),
        wall_s=round(time.monotonic() - began, 2),
    )


def _fly(
    scenario: Scenario, rig: Rig, faults: tuple[Fault, ...], seed: int, *, mutant: str, folder: Path
) -> Evidence:
    case = flown(scenario, seed)
    picture, model_sets = _pictures(scenario)
    feed = make_feed(scenario, case, faults, picture)
    evidence = Evidence(scenario, rig, faults, seed, feed, Truth(case))
    # What nobody but the judge may open.
    (folder / "truth.json").write_text(json.dumps(case.state.tolist()), encoding="utf-8")
    keys = make_keys(seed)
    with contextlib.ExitStack() as stack:
        clock = ClockHost(rig.remote.host, listen="0.0.0.0" if rig.rung == "remote" else "127.0.0.1")
        target = _target(rig, folder, clock, stack)
        wire, link = _wire(rig)
        stack.callback(wire.close)
        device = wire.path if isinstance(wire, PtyWire) else rig.remote.device
        target.prepare(link=device, mutant=mutant)
        lay_out(
            target, scenario, rig, keys=keys, table=feed.table(), model_sets=model_sets, link=link,
            clock=f'kind = "lockstep"\naddress = "{clock.address}"',
        )  # fmt: skip
        ground = Ground(keys, seed, command_times(scenario))
        return Conductor(target, wire, clock, ground, evidence, folder).run()


def _target(rig: Rig, folder: Path, clock: ClockHost, stack: contextlib.ExitStack) -> Target:
    if rig.rung == "in-process":
        inner = InProcessTarget(folder)
        inner.hang_up = clock.hang_up  # type: ignore[method-assign]
        return inner
    if rig.rung == "remote":
        remote = RemoteTarget(folder, rig)
        stack.callback(remote.close)
        return remote
    return LocalTarget(folder, rig)


def _wire(rig: Rig) -> tuple[Wire, str]:
    """Return the link from this side, and the lines of the payload's table for the other."""
    if rig.rung != "remote" or rig.remote.link == "pty":
        pseudo = PtyWire()
        return pseudo, f'kind = "serial"\npath = "{pseudo.path}"\nbaud = 115200'
    if rig.remote.link.startswith("tcp:"):
        port = rig.remote.link.rpartition(":")[2]
        return StreamWire(rig.remote.link), f'kind = "tcp"\nhost = "0.0.0.0"\nport = {port}'
    return (
        StreamWire(rig.remote.link),
        f'kind = "serial"\npath = "{rig.remote.device}"\nbaud = {rig.remote.baud}',
    )


def command_times(scenario: Scenario) -> tuple[float, ...]:
    """Return when the ground commands: before, between and in passes; at last it asks what is set."""
    frames = scenario.frame_times_s()
    last = float(frames[-1])
    spread = np.linspace(-20.0, last - scenario.every_s, 8)
    return (*(float(t) for t in spread), last + 30.0, last + 80.0, last + 150.0)


def _pictures(
    scenario: Scenario,
) -> tuple[Callable[[float], tuple[NDArray[np.uint8], bool]], tuple[Path, ...]]:
    """Return what the camera sees at a time, and the sets of models."""
    if scenario.inference == "observations":
        return lambda t_s: (GREY, True), ()
    from vinsat_hil.fixture import fixture_models, fixture_picture

    models = fixture_models()
    return fixture_picture, (models, models)


@contextlib.contextmanager
def _folder(keep: str) -> Iterator[Path]:
    if keep:
        folder = Path(keep).resolve()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        yield folder
        return
    base = str(SHM) if SHM.is_dir() and os.access(SHM, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="vinsat-hil-", dir=base, ignore_cleanup_errors=True) as name:
        yield Path(name)


def _cpu_s() -> float:
    """Return processor time of this process and of its children that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
