"""Fly a scenario's seeds: on workers, resumed where it was stopped, until sure enough.

A trial is a pure function of (scenario, seed). Whoever flies it stores it; what comes back
is the same trial, which the parent stores where a worker could not (a cluster without this
folder). A seed whose shard is there is not flown again. Whether the campaign is sure
enough is asked of the first N seeds, in steps of CHECK_EVERY: which trials count depends
neither on the number of workers nor on which ended first.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

from flightsw.errors import UsageError
from groundtools.jobs import Killed, alone, leftovers, run_jobs
from groundtools.statistics import wilson_interval
from vinsat_sim.montecarlo.levels import find_level
from vinsat_sim.montecarlo.outcome import Outcome
from vinsat_sim.montecarlo.store import Campaign, Trial, open_campaign, start
from vinsat_sim.scenario import Scenario, parse_scenario

CHECK_EVERY = 25  # trials between looks at the interval
ALL_FAIL = 10  # trials: if the first so many all fail, the campaign does, not the trials
WITHIN_KM = 5.0  # whose share the wanted interval is of

Report = Callable[[int, int], None]
"""Told after every trial: how many are there, how many are wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is wanted: `trials` seeds from `first_seed` on, at most.

    half_width : stop once the 95 % interval of the share under 5 km at the last image is
    no wider than this to either side; 0 flies all.
    """

    trials: int
    first_seed: int = 1
    half_width: float = 0.0
    workers: int = 2
    scheduler: str = ""
    retry_quarantined: bool = False

    def __post_init__(self) -> None:
        """Check the ranges. Raises UsageError."""
        if self.trials < 1 or self.first_seed < 1 or self.workers < 1:
            raise UsageError("--trials, --seed and --workers must be at least 1")
        if not 0.0 <= self.half_width < 0.5:
            raise UsageError("--half-width: must lie in [0, 0.5), a share")


@dataclass(frozen=True, slots=True)
class Flown:
    """What a call did: trials made and found, quarantined, and of how many first seeds the result is."""

    made: int
    kept: int
    quarantined: int
    counted: int
    sure: bool


def fly_campaign(
    folder: Path, text: str, level: str, plan: Plan, report: Report = lambda done, total: None
) -> Flown:
    """Fly what is missing and return what was done. Raises UsageError, RemoteError, InputError."""
    find_level(level)
    parse_scenario(text)
    campaign = start(folder, text, level)
    with alone(folder):
        for path in leftovers(folder):
            path.unlink(missing_ok=True)
        known = _Known(plan)
        for trial in campaign.trials():
            if not (plan.retry_quarantined and trial.quarantined):
                known.add(trial)
        kept = known.count
        missing = (seed for seed in plan_seeds(plan) if seed not in known)
        job = partial(fly_one, text, level, folder.resolve(), plan.retry_quarantined)
        if not known.is_sure():
            flown = run_jobs(job, missing, name=str, workers=plan.workers, scheduler=plan.scheduler)
            for seed, trial in flown:
                if isinstance(trial, Killed):
                    trial = Trial(seed, None, trial.reason)
                if campaign.get(seed) != trial:  # the worker has put it there, where it could
                    campaign.put(trial)
                known.add(trial)
                report(known.count, plan.trials)
                if known.is_sure():
                    break
            flown.close()
        campaign.pack()
    return Flown(known.count - kept, kept, known.quarantined, known.counted(), known.is_sure())


def fly_one(text: str, level: str, folder: Path, again: bool, seed: int) -> Trial:
    """Fly a seed and store it, or return the stored one. Runs in a worker.

    Whatever a level raises is the trial's end, and said in it.
    """
    here = _folder_of(text, level, folder)
    if here is not None and (found := here.get(seed)) is not None and not (again and found.quarantined):
        return found
    begun = time.process_time()
    try:
        outcome = replace(find_level(level)(_scenario(text), seed), seed=seed)
        trial = Trial(seed, Outcome.of(outcome.as_json()), cpu_s=time.process_time() - begun)
    except Exception as error:  # a trial that fails is set aside with its reason
        trial = Trial(seed, None, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    if here is not None and (again or here.get(seed) is None):  # an orphan of a killed parent may have
        here.put(trial)
    return trial


def plan_seeds(plan: Plan) -> Iterator[int]:
    """Yield the seeds of a plan."""
    yield from range(plan.first_seed, plan.first_seed + plan.trials)


def counted_trials(campaign: Campaign, plan: Plan, counted: int) -> Iterator[Trial]:
    """Yield the trials of the first `counted` seeds."""
    last = plan.first_seed + counted
    return (trial for trial in campaign.trials() if plan.first_seed <= trial.seed < last)


class _Known:
    """What the parent remembers: a byte a trial, so that memory does not grow with what they hold."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._state = bytearray(plan.trials)  # 0 missing, 1 off, 2 within, 3 quarantined
        self._sure_at = 0
        self._looked = 0

    def __contains__(self, seed: int) -> bool:
        return self._state[seed - self._plan.first_seed] != 0

    @property
    def count(self) -> int:
        """Trials there are."""
        return len(self._state) - self._state.count(0)

    @property
    def quarantined(self) -> int:
        """Trials set aside."""
        return self._state.count(3)

    def add(self, trial: Trial) -> None:
        """Remember a trial of the plan. Raises UsageError where none of the first works."""
        index = trial.seed - self._plan.first_seed
        if not 0 <= index < len(self._state):
            return
        error = None if trial.outcome is None else trial.outcome.error_last_image_km
        within = error is not None and error < WITHIN_KM
        self._state[index] = 3 if trial.outcome is None else 2 if within else 1
        if self.quarantined == self.count >= ALL_FAIL:
            raise UsageError(f"the first {self.count} trials all failed: {trial.quarantined}")

    def is_sure(self) -> bool:
        """Tell whether some first seeds, all there, make the interval as narrow as wanted."""
        if self._plan.half_width == 0.0 or self._sure_at:
            return self._sure_at > 0
        while (ahead := self._looked + CHECK_EVERY) <= len(self._state) and 0 not in self._state[:ahead]:
            self._looked = ahead
            trials = ahead - self._state[:ahead].count(3)
            interval = wilson_interval(self._state[:ahead].count(2), trials)
            if interval is not None and interval[1] - interval[0] <= 2.0 * self._plan.half_width:
                self._sure_at = ahead
                return True
        return False

    def counted(self) -> int:
        """Return how many first seeds the result is of: up to where it was sure, else all wanted."""
        return self._sure_at or len(self._state)


@lru_cache(maxsize=2)
def _scenario(text: str) -> Scenario:
    return parse_scenario(text)


def _folder_of(text: str, level: str, folder: Path) -> Campaign | None:
    """Return the campaign of a folder if this machine sees the very same one."""
    try:
        campaign = open_campaign(folder)
    except ValueError:
        return None
    return campaign if (campaign.text, campaign.level) == (text, level) else None
