"""Reproductions f4.3 to f4.12, made of runs.

`full` trains what is not stored yet (a run each, resumable) and judges. `quick` judges what is
stored, said by the check `stored runs`, and trains one short run anew. R: a ratio that should
hold here, S: a trend. Equal and best learning rate of each loss are both shown always.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from groundtools.registry import Check, Reproduction, Scale, at_least, at_most, noted
from vinsat_sim.experiments.bundle import runs
from vinsat_sim.experiments.bundle.training import EVERY, Run, train

Runs = dict[Run, dict]
SEEDS = runs.SEEDS
ANEW = Run(loss="w", seed=0, steps=EVERY)


def collect(wanted: Sequence[Run], scale: Scale) -> tuple[Runs, list[Check]]:
    """Return the results there are, and what is said about them."""
    if scale == "full":
        found = {run: run.result() for run in wanted}
    else:
        found = {run: result for run in wanted if (result := run.stored()) is not None}
    count = len(wanted)
    said = [at_least("stored runs of this recipe, hashes checked", len(found), count, unit=f"of {count}")]
    if scale == "quick":
        said.append(at_most(f"a run of {EVERY} steps anew: trajectory error", train(ANEW)["curve"][-1], 1.0))
    said.append(noted("runs that diverged", sum(r["diverged"] for r in found.values())))
    return found, said


def curves(found: Runs, curve: str = "curve", **options: object) -> np.ndarray:
    """Return the curves (S, T) of the runs with these options, seeds in order."""
    rows = [
        result[curve]
        for run, result in sorted(found.items(), key=lambda item: item[0].seed)
        if all(getattr(run, k) == v for k, v in options.items()) and not result["diverged"]
    ]
    return np.array(rows)


def best(rows: np.ndarray) -> float:
    """Return the least error that the median curve reaches; NaN of no runs."""
    return float(np.median(rows, axis=0).min()) if rows.size else math.nan


def first_below(rows: np.ndarray, level: float) -> float:
    """Return the step at which the median curve first falls to a level; infinite if never."""
    if not rows.size:
        return math.nan
    below = np.flatnonzero(np.median(rows, axis=0) <= level)
    return float(EVERY * (below[0] + 1)) if below.size else math.inf


def speed_up(plain: np.ndarray, weighted: np.ndarray) -> float:
    """Return iterations to the plain loss's best error, plain over weighted; 0 if never reached."""
    level = best(plain)
    steps = first_below(weighted, level)
    return first_below(plain, level) / steps if math.isfinite(steps) else 0.0


def paired_interval(plain: np.ndarray, weighted: np.ndarray) -> tuple[float, float] | None:
    """Return the range of the speed-up over seeds taken one by one."""
    each = [speed_up(p[None], w[None]) for p, w in zip(plain, weighted)]
    return (min(each), max(each)) if each else None


def race(found: Runs, name: str, wanted: float | None, thesis: str | None, **options: object) -> list[Check]:
    """Return the speed-up at equal rates, each, and at each loss's best rate."""
    rates = sorted({run.rate for run in found if all(getattr(run, k) == v for k, v in options.items())})
    out, of_rate = [], {}
    for rate in rates:
        plain, weighted = (curves(found, loss=loss, rate=rate, **options) for loss in runs.PAIR)
        of_rate[rate] = (plain, weighted)
        for loss, rows in zip(runs.PAIR, (plain, weighted)):
            out.append(noted(f"{name}, rate {rate:g}, {loss}: least median error", best(rows)))
        ratio, span = speed_up(plain, weighted), paired_interval(plain, weighted)
        title = f"{name}: iterations to the plain loss's best, plain over weighted, equal rate {rate:g}"
        if wanted is None:
            out.append(noted(title, ratio, interval=span, thesis=thesis))
        else:
            out.append(at_least(title, ratio, wanted, interval=span, thesis=thesis))
    if of_rate:
        plain = min((pair[0] for pair in of_rate.values()), key=lambda rows: _or_infinite(best(rows)))
        weighted = min((pair[1] for pair in of_rate.values()), key=lambda rows: _or_infinite(best(rows)))
        ratio = speed_up(plain, weighted)
        out.append(noted(f"{name}: the same, each loss at its best rate", ratio, thesis=thesis))
        out.append(
            noted(f"{name}: final error, weighted over plain, best rates", best(weighted) / best(plain))
        )
    return out


def _or_infinite(value: float) -> float:
    return math.inf if math.isnan(value) else value


def f4_3(scale: Scale) -> tuple[Check, ...]:
    """Noise in the linearisation and in others' estimates."""
    from vinsat_sim.experiments.bundle.noise import LEVELS, interference, linearisation

    out = []
    rows = [linearisation(seed) for seed in SEEDS]
    ratio = {name: np.exp(np.mean(np.log([row[name] for row in rows]), axis=0)) for name in ("flow", "pose")}
    for name, values in ratio.items():
        out += [noted(f"(a) {name} loss: SNR at noise {lv:g}", v) for lv, v in zip(LEVELS, values)]
        out.append(
            at_most(f"(a) {name} loss: largest rise of the SNR with noise", np.diff(values).max(), 0.0)
        )
    fall = {name: values[0] / values[-1] for name, values in ratio.items()}
    out.append(at_least("(a) fall of the SNR, flow over pose loss", fall["flow"] / fall["pose"], 1.0))
    changes = [interference(seed) for seed in SEEDS]
    for name in changes[0]:
        values = np.mean([row[name] for row in changes], axis=0)
        out += [noted(f"(b, c) {name}: gradient error at {lv:g}", v) for lv, v in zip(LEVELS, values)]
        out.append(at_least(f"(b, c) {name}: least rise with the noise", np.diff(values).min(), 0.0))
    return tuple(out)


def f4_4(scale: Scale) -> tuple[Check, ...]:
    """Signal to noise of the flow head's gradient under both losses, past 100 iterations."""
    found, checks = collect(runs.RATED, scale)
    marks = [mark for result in found.values() for mark in result["snr"]]
    logs = np.log([mark["w"] / mark["plain"] for mark in marks])
    if not len(logs):
        return (*checks, at_least("geometric mean of the SNR's ratio", math.nan, 1.3))
    half = 1.96 * logs.std(ddof=1) / math.sqrt(len(logs)) if len(logs) > 1 else math.nan
    mean = float(logs.mean())
    return (
        *checks,
        noted("checkpoints of plain runs", len(logs)),
        at_least(
            "geometric mean of the SNR's ratio, weighted over plain", math.exp(mean), 1.3,
            interval=(math.exp(mean - half), math.exp(mean + half)),
        ),
        noted("cosine between the two mean gradients", float(np.mean([mark["cosine"] for mark in marks]))),
    )  # fmt: skip


def f4_5(scale: Scale) -> tuple[Check, ...]:
    """Speed of training, streaming: the easier and the harder scene."""
    hard = [*runs.HARD, *runs.HARD_SLOW]
    found, checks = collect([*runs.RATED, *hard, *runs.POWERS], scale)
    checks += race(found, "ground, 15-30 % outliers", None, "2 to 2.5", kind="ground")
    checks += race(found, "room, 30-50 % outliers", 1.5, "2 to 2.5", kind="room")
    for loss in ("sqrt", "square"):
        rows = curves(found, loss=loss)
        checks.append(noted(f"ground, rate 0.002, weights by {loss}: least median error", best(rows)))
    pairs = [
        (r["low_weight_depth_error"], r["high_weight_depth_error"])
        for run, r in found.items()
        if run.loss == "w" and r["curve"]
    ]
    if pairs:
        low, high = np.median(pairs, axis=0)
        checks.append(noted("depth error, quarter of least weight over quarter of most", float(low / high)))
    return tuple(checks)


def f4_6(scale: Scale) -> tuple[Check, ...]:
    """Trained on batches, tried by streaming."""
    found, checks = collect(runs.BATCH, scale)
    plain, weighted = (curves(found, "streamed", loss=loss) for loss in runs.PAIR)
    return (
        *checks,
        noted("plain: least median error, streaming", best(plain)),
        noted("weighted: least median error, streaming", best(weighted)),
        at_most("streaming error, weighted over plain", best(weighted) / best(plain), 1.0),
    )


def f4_7(scale: Scale) -> tuple[Check, ...]:
    """Points picked where the picture has contrast, against random ones with learned weights."""
    found, checks = collect([*runs.RATED[:6], *runs.TEXTURED], scale)
    rows = {t: curves(found, loss="w", textured=t) for t in (0.0, 1.0)}
    # The simulated picture gives textured points fewer outliers: an easier task by construction.
    return (
        *checks,
        *(noted(f"weighted, textured {t:g}: least median error", best(r)) for t, r in rows.items()),
    )


def f4_8(scale: Scale) -> tuple[Check, ...]:
    """The dense network."""
    found, checks = collect(runs.DENSE, scale)
    return (*checks, *race(found, "dense", None, "about 2"))


def f4_9(scale: Scale) -> tuple[Check, ...]:
    """Other ways to less variance."""
    found, checks = collect([*runs.RATED[:6], *runs.OTHER], scale)
    ways = [
        ("plain", "none"),
        ("w", "none"),
        ("heuristic", "none"),
        ("plain", "interpolate"),
        ("plain", "correct"),
    ]
    level = {way: best(curves(found, loss=way[0], method=way[1])) for way in ways}
    checks += [noted(f"{loss}, {method}: least median error", v) for (loss, method), v in level.items()]
    others = [level[way] for way in ways if way != ("w", "none")]
    return (
        *checks,
        at_most("weighted over the best of the others", level["w", "none"] / np.nanmin(others), 1.0),
    )


def f4_10(scale: Scale) -> tuple[Check, ...]:
    """Mean weight with and without clipping of the weights' gradient."""
    found, checks = collect([*runs.RATED[:6], *runs.NO_CLIP], scale)
    with_clip, without = (curves(found, "weights", loss="w", clip=clip) for clip in (True, False))
    lower = [float(b[-1] - a[-1]) for a, b in zip(with_clip, without)]
    checks += [
        noted(f"seed {s}: mean weight at the end, not clipped less clipped", v) for s, v in zip(SEEDS, lower)
    ]
    mean = float(np.mean(lower)) if lower else math.nan
    return (*checks, at_most("mean weight at the end, not clipped less clipped", mean, 0.0))


def f4_11(scale: Scale) -> tuple[Check, ...]:
    """The error with and without clipping: alike in the thesis."""
    found, checks = collect([*runs.RATED[:6], *runs.NO_CLIP], scale)
    ratio = best(curves(found, loss="w", clip=False)) / best(curves(found, loss="w", clip=True))
    return (
        *checks,
        at_most("error, not clipped over clipped (alike: within a quarter)", ratio, 1.25),
        at_least("the same", ratio, 0.8),
    )


def f4_12(scale: Scale) -> tuple[Check, ...]:
    """Pose loss on the first two iterates too: worse in the thesis."""
    found, checks = collect([*runs.RATED[:6], *runs.ALL_POSES], scale)
    all_rows, later = (curves(found, loss="w", skip_pose=skip) for skip in (0, 2))
    each = [a.min() / b.min() for a, b in zip(all_rows, later)]
    ratio = best(all_rows) / best(later)
    span = (float(min(each)), float(max(each))) if each else None
    return (*checks, at_least("error, pose loss on all iterates over later ones", ratio, 1.0, interval=span))


def _entry(id_: str, title: str, run: Callable[[Scale], tuple[Check, ...]]) -> Reproduction:
    return Reproduction(id=id_, title=title, run=run, seeds=lambda scale: SEEDS)


F4_3 = _entry("f4.3", "R: gradients under noise of the linearisation and of others' estimates", f4_3)
F4_4 = _entry("f4.4", "R: signal to noise of the flow head's gradient, weighted and plain loss", f4_4)
F4_5 = _entry("f4.5", "S: training speed, weighted and plain loss, streaming", f4_5)
F4_6 = _entry("f4.6", "S: trained on batches, tried by streaming", f4_6)
F4_7 = _entry("f4.7", "S: random points with learned weights against points of contrast", f4_7)
F4_8 = _entry("f4.8", "S: the dense network, weighted and plain loss", f4_8)
F4_9 = _entry("f4.9", "S: other ways to reduce the gradient's variance", f4_9)
F4_10 = _entry("f4.10", "R: mean weight without clipping of the weights' gradient", f4_10)
F4_11 = _entry("f4.11", "S: error without clipping of the weights' gradient", f4_11)
F4_12 = _entry("f4.12", "S: pose loss on the first two iterates too", f4_12)
