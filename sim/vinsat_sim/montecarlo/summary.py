"""What a campaign's trials amount to: shares with intervals, three definitions, solvability, honesty."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundtools.statistics import wilson_interval
from vinsat_sim.montecarlo.outcome import CURVE_STEP_MIN, Outcome
from vinsat_sim.montecarlo.store import Trial

Array = NDArray[np.float64]

LIMITS_KM = (1.0, 2.0, 3.0, 4.0, 5.0)
DEFINITIONS = {"ever": "error_ever_km", "last image": "error_last_image_km", "end": "error_end_km"}
SOLVABILITY = ("none", "one", "two or more")  # usable passes
WORST = 10


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval: `count` of `trials`."""

    count: int
    trials: int

    @property
    def value(self) -> float | None:
        """The share; None of no trials."""
        return self.count / self.trials if self.trials else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Its 95 % interval (Wilson); None of no trials."""
        return wilson_interval(self.count, self.trials)

    def as_json(self) -> dict[str, Any]:
        """Return count, trials, share, low, high."""
        low, high = self.interval or (None, None)
        return {"count": self.count, "trials": self.trials, "share": self.value, "low": low, "high": high}


@dataclass(frozen=True, slots=True)
class Bin:
    """Trials of one number of usable passes: how many, determined, solved; errors in km (None without)."""

    passes: str
    trials: int
    determined: int
    solved: int
    median_km: float | None
    p90_km: float | None
    end_median_km: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """All that is said of a campaign.

    trials : with an outcome; quarantined : (seed, reason); within[definition][k] : Share
    under LIMITS_KM[k], of all trials; curve_min (T,), ever[k] (T,), at[k] (T,) : how many
    were within LIMITS_KM[k] at some instant from the first image to t, and at t;
    solvability : trials with none, one, more usable passes; by_passes : the same, with
    errors at the last image; nees : mean, median and count over solved trials; worst :
    the wrong ones, then the largest errors at the last image among the determined.
    """

    trials: int
    quarantined: tuple[tuple[int, str], ...]
    determined: Share
    solved: Share
    wrong: Share
    within: dict[str, tuple[Share, ...]]
    by_passes: tuple[Bin, ...]
    solvability: tuple[int, int, int]
    nees_mean: float | None
    nees_median: float | None
    nees_inside_99: Share
    curve_min: Array
    ever: Array
    at: Array
    errors_km: Array
    passes: Array
    worst: tuple[Outcome, ...]
    frames: int
    blind_frames: int
    false_fixes: int
    cpu_s: float

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints of the campaign."""
        return {
            "trials": self.trials,
            "quarantined": [{"seed": seed, "reason": reason} for seed, reason in self.quarantined],
            "determined": self.determined.as_json(),
            "solved": self.solved.as_json(),
            "wrong": self.wrong.as_json(),
            "within_km": {
                name: {f"{km:g}": share.as_json() for km, share in zip(LIMITS_KM, shares)}
                for name, shares in self.within.items()
            },
            "solvability": dict(zip(SOLVABILITY, self.solvability)),
            "by_passes": [asdict(one) for one in self.by_passes],
            "nees": {
                "mean": self.nees_mean,
                "median": self.nees_median,
                "inside_99_percent": self.nees_inside_99.as_json(),
            },
            "frames": self.frames,
            "blind_frames": self.blind_frames,
            "false_fixes": self.false_fixes,
            "worst_seeds": [outcome.seed for outcome in self.worst],
            "cpu_s": round(self.cpu_s, 1),
        }


INSIDE_99 = 11.345  # chi-square of 3 degrees


def summarise(trials: Iterable[Trial]) -> Summary:
    """Return the summary of trials."""
    done, quarantined, cpu_s = [], [], 0.0
    for trial in trials:
        cpu_s += trial.cpu_s
        if trial.outcome is None:
            quarantined.append((trial.seed, trial.quarantined))
        else:
            done.append(trial.outcome)
    n = len(done)
    solved = [one for one in done if one.solved and one.nees is not None]
    nees = np.array([one.nees for one in solved], dtype=float)
    inside = sum(one.nees_position is not None and one.nees_position < INSIDE_99 for one in solved)
    curve_min, ever, at = _curves(done)
    kinds = [min(one.usable_passes, 2) for one in done]
    return Summary(
        trials=n,
        quarantined=tuple(quarantined),
        determined=Share(sum(one.determined for one in done), n),
        solved=Share(sum(one.solved for one in done), n),
        wrong=Share(sum(one.wrong for one in done), n),
        within={name: _within(done, key) for name, key in DEFINITIONS.items()},
        by_passes=tuple(
            _bin(label, [one for one in done if pick(one.usable_passes)]) for label, pick in BINS.items()
        ),
        solvability=(kinds.count(0), kinds.count(1), kinds.count(2)),
        nees_mean=float(nees.mean()) if len(nees) else None,
        nees_median=float(np.median(nees)) if len(nees) else None,
        nees_inside_99=Share(inside, len(solved)),
        curve_min=curve_min,
        ever=ever,
        at=at,
        errors_km=np.array([_number(one.error_last_image_km) for one in done]),
        passes=np.array([(p.lon_deg, p.lat_deg) for one in done for p in one.passes]).reshape(-1, 2),
        worst=tuple(sorted(done, key=_badness, reverse=True)[:WORST]),
        frames=sum(one.frames for one in done),
        blind_frames=sum(one.blind_frames for one in done),
        false_fixes=sum(one.false_fixes for one in done),
        cpu_s=cpu_s,
    )


BINS = {
    "0": lambda n: n == 0,
    "1": lambda n: n == 1,
    "2": lambda n: n == 2,
    "3": lambda n: n == 3,
    "4 and more": lambda n: n >= 4,
}


def _within(done: list[Outcome], key: str) -> tuple[Share, ...]:
    errors = np.array([_number(getattr(one, key)) for one in done])
    return tuple(Share(int(np.sum(errors < km)), len(done)) for km in LIMITS_KM)


def _bin(label: str, some: list[Outcome]) -> Bin:
    last = [one.error_last_image_km for one in some if one.error_last_image_km is not None]
    end = [one.error_end_km for one in some if one.error_end_km is not None]
    return Bin(
        passes=label,
        trials=len(some),
        determined=sum(one.determined for one in some),
        solved=sum(one.solved for one in some),
        median_km=float(np.median(last)) if last else None,
        p90_km=float(np.percentile(last, 90)) if last else None,
        end_median_km=float(np.median(end)) if end else None,
    )


def _curves(done: list[Outcome]) -> tuple[Array, Array, Array]:
    """Return the instants (T,), min, and how many are within each limit: ever until (5, T), at (5, T)."""
    longest = max((len(one.curve_km) for one in done), default=0)
    minutes = CURVE_STEP_MIN * np.arange(longest)
    ever, at = np.zeros((2, len(LIMITS_KM), longest))
    for one in done:
        if not one.curve_km or not one.passes:
            continue
        error = np.full(longest, np.inf)
        error[: len(one.curve_km)] = one.curve_km
        error[minutes < min(p.start_min for p in one.passes)] = np.inf  # nothing was known yet
        for k, km in enumerate(LIMITS_KM):
            at[k] += error < km
            ever[k] += np.minimum.accumulate(error) < km
    return minutes, ever, at


def _badness(one: Outcome) -> tuple[bool, bool, float]:
    return one.wrong or one.false_fixes > 0, one.determined, one.error_last_image_km or 0.0


def _number(value: float | None) -> float:
    return float("inf") if value is None else value
