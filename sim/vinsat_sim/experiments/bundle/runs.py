"""Which runs each figure is made of; asked for in order of what they decide."""

from dataclasses import replace

from vinsat_sim.experiments.bundle.training import Run

SEEDS = (1, 2, 3)
RATES = (2e-3, 8e-3)
PAIR = ("plain", "w")


def over_seeds(*losses: str, **changed: object) -> list[Run]:
    """Return runs of these losses over the seeds, seed by seed."""
    return [replace(Run(loss=loss, seed=seed), **changed) for seed in SEEDS for loss in losses]


RATED = [run for rate in RATES for run in over_seeds(*PAIR, rate=rate)]  # f4.4, f4.5
HARD = over_seeds(*PAIR, kind="room", outliers=(0.3, 0.5), rate=RATES[1])  # f4.5, the harder scene
HARD_SLOW = over_seeds(*PAIR, kind="room", outliers=(0.3, 0.5))
BATCH = over_seeds(*PAIR, streaming=False)  # f4.6
NO_CLIP = over_seeds("w", clip=False)  # f4.10, f4.11
ALL_POSES = over_seeds("w", skip_pose=0)  # f4.12
DENSE = over_seeds(*PAIR, network="dense")  # f4.8
TEXTURED = over_seeds("w", textured=1.0)  # f4.7
OTHER = [  # f4.9
    *over_seeds("heuristic"),
    *over_seeds("plain", method="interpolate"),
    *over_seeds("plain", method="correct"),
]
POWERS = over_seeds("sqrt", "square")
EVERYTHING = (
    *RATED, *NO_CLIP, *ALL_POSES, *HARD, *BATCH, *DENSE, *TEXTURED, *OTHER, *HARD_SLOW, *POWERS,
)  # fmt: skip
