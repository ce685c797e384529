"""Fault trials by the thousand: each a function of its seed, each in a file of its own.

A trial's file appears whole or not at all, so a run goes on where it was ended. Trials
that violated an invariant are flown again when the program has changed since.
"""

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import flightsw
from groundtools.registry import machine
from groundtools.statistics import wilson_interval
from vinsat_hil.composition import draw_faults, read_faults
from vinsat_hil.faults import KINDS
from vinsat_hil.rig import load_rig
from vinsat_hil.scenario import load_scenario
from vinsat_hil.trial import run_trial

PICTURES_EVERY = 10  # one trial in so many is flown with fixture networks
CONSISTENT = ("detector", "clock")  # layers under which an error is no sample of the covariance
QUANTILE = 3.09  # of the normal distribution: 0.1 % above


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Trials `first` to `last` (exclusive) on a rig."""

    first: int
    last: int
    rig: str
    scenario: str
    folder: Path

    def missing(self) -> list[int]:
        """Return the seeds that are to be flown."""
        program = program_digest()
        seeds = []
        for seed in range(self.first, self.last):
            shard = read_shard(self.folder, seed)
            changed = shard is not None and shard["violated"] and shard["program"] != program
            if shard is None or changed:
                seeds.append(seed)
        return seeds


def run_trials(plan: Plan, *, workers: int) -> Iterator[dict[str, Any]]:
    """Fly what is missing; yield each trial as it is stored."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    seeds = plan.missing()
    if workers == 1:
        for seed in seeds:
            yield fly_one(plan, seed)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(fly_one, plan, seed) for seed in seeds]):
            yield done.result()


def fly_one(plan: Plan, seed: int) -> dict[str, Any]:
    """Fly the trial of a seed, store it, return it."""
    name = "pictures" if seed % PICTURES_EVERY == 0 and plan.scenario == "brief" else plan.scenario
    scenario, rig = load_scenario(name), load_rig(plan.rig)
    faults = draw_faults(
        seed, rung=rig.rung, inference=scenario.inference,
        busy_s=[float(t) for t in scenario.frame_times_s()], until_s=scenario.faults_until_s(),
    )  # fmt: skip
    outcome = run_trial(scenario, rig, faults, seed)
    shard = {
        "seed": seed, "scenario": name, "rig": rig.name, "faults": outcome.faults, "digest": outcome.digest,
        "violated": {verdict.name: verdict.problem for verdict in outcome.violated},
        "deaths": outcome.deaths, "determined": outcome.determined, "error_m": outcome.error_m,
        "sigma_m": outcome.sigma_m, "memory_mb": outcome.memory_mb, "cpu_s": outcome.cpu_s,
        "program": program_digest(),
    }  # fmt: skip
    path = plan.folder / f"{seed:06d}.json"
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(shard) + "\n", encoding="utf-8")
    part.replace(path)
    return shard


def read_shard(folder: Path, seed: int) -> dict[str, Any] | None:
    """Return a stored trial, None where there is none."""
    try:
        value: dict[str, Any] = json.loads((folder / f"{seed:06d}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value


def summary(folder: Path) -> dict[str, Any]:
    """Return what all stored trials came to."""
    seeds = sorted(int(path.stem) for path in folder.glob("??????.json"))
    shards = [shard for seed in seeds if (shard := read_shard(folder, seed)) is not None]
    violations = [shard for shard in shards if shard["violated"]]
    layers = Counter(fault.name for shard in shards for fault in read_faults(shard["faults"]))
    low, high = wilson_interval(len(violations), len(shards)) or (0.0, 1.0)
    return {
        "trials": len(shards),
        "seeds": [seeds[0], seeds[-1]] if seeds else [],
        "violations": len(violations),
        "violation_share_95": [low, high],
        "violated": [{k: s[k] for k in ("seed", "scenario", "faults", "violated")} for s in violations],
        "faults_played": sum(layers.values()),
        "by_fault": {name: layers[name] for name in KINDS},
        "deaths": sum(shard["deaths"] for shard in shards),
        "with_an_orbit": sum(shard["determined"] > 0 for shard in shards),
        "cpu_s": {
            "mean": round(sum(s["cpu_s"] for s in shards) / max(len(shards), 1), 2),
            "most": max((s["cpu_s"] for s in shards), default=0.0),
        },
        "memory_mb_most": max((s["memory_mb"] for s in shards), default=0.0),
        "consistency": consistency(shards),
        "programs": dict(Counter(shard["program"] for shard in shards)),
        "machine": machine(),
    }


def consistency(shards: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean of (error / sigma)^2 of last orbits, and how large it may be by chance.

    Where sigma is right its expectation is 1. The error is mostly along the track, so it
    has one degree of freedom in each trial: n times the mean is chi-square with n, whose
    0.1 % point is by Wilson and Hilferty. Only trials count in which neither detector nor
    clock erred: there the error is not drawn from the covariance.
    """
    squares = [
        (shard["error_m"] / shard["sigma_m"]) ** 2
        for shard in shards
        if shard["error_m"] is not None
        and not any(fault.kind.layer in CONSISTENT for fault in read_faults(shard["faults"]))
    ]
    n = len(squares)
    if not n:
        return {"n": 0, "mean": None, "most": None, "held": True}
    most = (1.0 - 2.0 / (9.0 * n) + QUANTILE * math.sqrt(2.0 / (9.0 * n))) ** 3
    mean = sum(squares) / n
    return {"n": n, "mean": round(mean, 3), "most": round(most, 3), "held": mean <= most}


def program_digest() -> str:
    """Return a digest of what is tested: the sources of flightsw."""
    root = Path(flightsw.__file__).parent
    whole = hashlib.sha256()
    for path in sorted(root.rglob("*.py")) + sorted(root.rglob("*.toml")):
        whole.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return whole.hexdigest()[:12]
