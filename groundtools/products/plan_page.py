"""A plan as one HTML page: where and when to take frames, and the probability of a fix by time."""

from pathlib import Path

import numpy as np

from flightsw.estimate.solution import Solution
from groundtools.products.ephemeris import from_solution
from groundtools.products.planning import Plan
from groundtools.products.report import STYLE_SHEET, Figure
from groundtools.products.writers import ground_track

TEMPLATE = Path(__file__).with_name("plan.html")
STEP_S = 60.0


def plan_page(
    solution: Solution, made: Plan, rows: list[dict[str, object]], *, hours: float, command: str
) -> str:
    """Return the page of a plan; it asks for nothing outside itself. InputError without a state."""
    from jinja2 import Environment

    template = Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    chance = made.chance_by(float("inf"))
    first = rows[0]
    return template.render(
        css=STYLE_SHEET.read_text(encoding="utf-8"),
        title="When to take frames",
        span=f"From {made.epoch.utc_iso(0)} for {hours:g} hours",
        headline=f"{made.frames} frames in {len(made.windows)} windows: another fix with {chance:.0%}.",
        sentences=[
            f"The first window begins {first['start_utc']} over {first['place']}.",
            "Windows are as wide as the orbit is uncertain: whatever lies within two sigmas is seen.",
        ],
        figures=figures(solution, made, hours),
        rows=rows,
        command=command,
    )


def figures(solution: Solution, made: Plan, hours: float) -> list[Figure]:
    """Return the map of the windows and the chance over time."""
    from groundtools.products.figures import draw_chance, draw_track

    start = made.epoch - solution.epoch
    table = from_solution(solution, start, start + 3600.0 * hours, STEP_S)
    lon, lat, _ = ground_track(table)
    since = table.t_s - start
    inside = np.zeros(len(since), dtype=bool)
    for window in made.windows:
        inside |= (since >= window.start_s - STEP_S / 2) & (since <= window.end_s + STEP_S / 2)
    imaged = np.column_stack([lon, lat])[inside]
    ends = np.array([window.end_s for window in made.windows])
    chance = np.array([made.chance_by(float(end)) for end in ends])
    return [
        Figure("Where", draw_track(lon, lat, imaged, np.zeros((0, 2)), seen="frames are taken"),
               "Ground track over the time planned for."),
        Figure("Chance of another fix", draw_chance(ends / 3600.0, chance, hours),
               "The probability that some window until then gives landmarks, cloud included."),
    ]  # fmt: skip
